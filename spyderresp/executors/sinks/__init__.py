"""Executors that send to other systems: sinks for flags, and the vendor's API."""
