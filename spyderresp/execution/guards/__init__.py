"""``Guard`` and its parts. docs/EXECUTORS.md describes them, in the section "Guards"."""
