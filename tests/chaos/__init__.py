"""Kills processes of a whole pipeline on a real broker, and compares what it wrote with an embedded run."""
