"""What the engine is measured against; every one of them decides the same events, and is held to the same answers."""
