"""Benchmarks, and checks by which an installation tests itself."""
