"""Runs of the embedded pipeline: backtests, their journals and snapshots, replays, and summaries."""
