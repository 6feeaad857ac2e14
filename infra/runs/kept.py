"""What of a run goes into its journal: all that a replay cannot compute again, and what people look at."""

from collections.abc import Callable

from windvane.agents.roster import foreign
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.events import Event, Proposals
from windvane.streams.recorded import said_by
from windvane.streams.topics import FEATURES, PROPOSALS, Topic

Keep = Callable[[Topic, Event], Event | None]
"""The part of an event that is journaled, None where nothing of it is."""


def keeping(config: TradingConfig, *, full: bool) -> Keep:
    """What is kept of a book. full: of features and proposals all; else of them the proposals of agents not built in.

    Nobody but who has the code of such an agent could compute its proposals again.
    """
    guests = foreign(config.agents, config.kinds_of_agents)

    def keep(topic: Topic, event: Event) -> Event | None:
        if full or topic.name not in (FEATURES.name, PROPOSALS.name):
            return event
        return said_by(event, guests) if guests and isinstance(event, Proposals) else None

    return keep
