"""Broad scopes: for the other native modules."""
