"""Compares all ways to weigh agents on the same simulated markets or the same file, and makes a table."""
