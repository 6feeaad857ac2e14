"""Trains the meta-learner over episodes of SIMULATED markets, keeps it in checkpoints, and evaluates those."""
