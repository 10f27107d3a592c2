"""What two policy sets would do differently, at the level of actions: over events, or for any event at all."""
