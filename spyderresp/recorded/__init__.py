"""Recorded events out of files: JSON lines, plain or compressed, Parquet and Arrow IPC; directories and globs."""
