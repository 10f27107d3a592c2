"""Records of sensors in, events in the normal form out."""
