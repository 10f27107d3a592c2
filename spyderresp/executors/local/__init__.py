"""Finds, compares and signals processes of this host. Linux only."""
