"""Compiled code of replay. Each module has a .pxd, which is its design, and a .pyi."""
