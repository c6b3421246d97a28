"""Benchmarks: each prints one object, and leaves out what it could not measure cleanly."""
