"""Rows of numbers: C functions only, for the other native modules."""
