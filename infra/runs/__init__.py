"""A run of the embedded pipeline: journal, snapshots, replay, summary."""
