"""Exact answers about a policy set: what can never happen, what always does, and an event that shows it."""
