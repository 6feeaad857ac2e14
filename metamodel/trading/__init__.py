"""The round of a row: weights become a target, risk gates check it, and an account trades it."""
