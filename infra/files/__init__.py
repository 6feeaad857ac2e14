"""Reads market files: recognises their format, checks their rows, and returns columns."""
