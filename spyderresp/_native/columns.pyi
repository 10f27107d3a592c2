"""Arrow memory: C functions only, for the other native modules.

A column is told as ``(texts, validities, indices)``. Addresses are of the buffers' first byte, 0 where there is none:

- texts: ``(offsets, large, data, bytes of data, first, count, validity)``, or None where all are absent;
- validities, of every level: ``(bits, first bit)``;
- indices: ``(address, width, first)``, the width in bytes and negative where signed; or None where plain.
"""
