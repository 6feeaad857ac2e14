"""Processes of a whole pipeline on a real broker, killed again and again, and compared with an embedded run."""
