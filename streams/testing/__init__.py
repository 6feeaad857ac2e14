"""What only tests run: a scheduler of faults."""
