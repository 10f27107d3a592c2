"""Texts, each once: C functions only, for the other native modules."""
