"""Scores agents and learns to weigh them: the learner, its members, and its weights as bytes."""
