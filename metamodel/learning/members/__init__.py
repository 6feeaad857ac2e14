"""The members of the mixture, each a way to weigh agents in a file of its own."""

MEMBERS: tuple[str, ...] = ("equal", "prod", "contextual", "pretrained", "regime", "predictor")
"""Names of the members, in the order of every member column."""
