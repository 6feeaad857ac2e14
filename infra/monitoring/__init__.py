"""What a worker tells of itself: metrics, structured logs, and one page for a person."""
