"""The journal: what was tried, what became of it, and what is still owed."""
