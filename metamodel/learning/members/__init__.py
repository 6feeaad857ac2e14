"""The members of the mixture: one way to weigh agents a file."""

MEMBERS: tuple[str, ...] = ("equal", "prod", "contextual", "pretrained", "regime", "predictor")
"""Names of the members, in the order of every member column."""
