"""The round: weights become a target, the risk gates check it, and an account trades it."""
