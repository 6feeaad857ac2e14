"""Live sessions over captured markets, at a multiple of their speed: through faults, and what they cost."""
