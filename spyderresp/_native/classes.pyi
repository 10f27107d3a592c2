FIRST_TEXT: int
"""The number of an attribute's first text, as predicates name it."""
