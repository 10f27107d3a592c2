"""Reads records of sensors, and converts them into events in the normal form."""
