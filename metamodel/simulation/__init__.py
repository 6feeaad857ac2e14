"""Simulated markets with known regimes, and the environment in which an agent trades them."""
