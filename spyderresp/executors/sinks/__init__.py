"""Executors that deliver flags."""
