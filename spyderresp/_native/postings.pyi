"""Where to look, by what an event has: for the other native modules."""
