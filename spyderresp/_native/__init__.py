"""All compiled code and nothing else. Each module has a .pxd, which is its design, and a .pyi."""
