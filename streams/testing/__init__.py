"""What only tests run: a scheduler of faults, and an independent replay of recorded choices."""
