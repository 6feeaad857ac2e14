"""The meta-learner trained over episodes of SIMULATED markets, kept in checkpoints, and evaluated."""
