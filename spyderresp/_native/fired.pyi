"""Shapes that are remembered by what fired: for the other native modules."""
