"""`windvane status`: books, groups of workers and their lag, read from Kafka and shown on one page."""
