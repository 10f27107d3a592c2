"""Keys of one length: C functions only, for the other native modules."""
