"""Metrics and structured logs of a worker, and the HTTP endpoint where Prometheus reads the metrics."""
