"""Spans of time, in ns as all times are."""

DAY = 86_400_000_000_000
"""A UTC day. The row that ends it at midnight is its last, so the day of a row is (ts - 1) // DAY."""
