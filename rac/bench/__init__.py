"""Benchmarks: both sides of a comparison in one run, on the same work, as plain numbers."""
