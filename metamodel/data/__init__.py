"""Columns of a market as they were read: cleaned, and sampled into bars."""
