"""Columns of market rows, the rules by which bad rows are rejected, and the sampling of ticks into bars."""
