"""What a worker tells of itself: metrics, structured logs, and a page for Prometheus."""
