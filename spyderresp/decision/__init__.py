"""Decisions: from a policy set and an event to a plan."""
