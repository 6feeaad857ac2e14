"""Computes the features of a market from its ticks, for agents, the regime classifier and the learner."""
