"""Benchmarks, and the checks that an installation runs of itself."""
