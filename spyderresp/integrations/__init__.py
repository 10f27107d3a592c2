"""Deciding inside other engines' workers: pyarrow, Dask, Ray, Spark. Each module is about one, and imports it."""
