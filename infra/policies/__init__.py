"""Learned policies: on disk as data, and trained on simulated markets or a file."""
