# The digest of a policy set, over its meaning and order. What is hashed is JSON text, written here piece by piece.
