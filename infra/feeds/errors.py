"""The errors of feeds, each one sentence that ends with what to do."""

from windvane.agents.errors import WindvaneError


class FeedError(WindvaneError):
    """An exchange or symbol that cannot be read."""
