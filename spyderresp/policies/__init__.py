"""Policies: from texts to a policy set."""
