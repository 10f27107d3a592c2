"""Texts that were met: C functions only, for the other native modules."""
