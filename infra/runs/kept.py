"""What of a run goes into its journal: all that a replay cannot compute again, and what people look at."""

from collections.abc import Callable

from windvane.streams.events import Event
from windvane.streams.topics import FEATURES, Topic

Keep = Callable[[Topic, Event], bool]
"""Whether an event is journaled."""


def keeping(*, full: bool) -> Keep:
    """What is kept of a book: everything where it is `full`, else everything but features, which follow from the ticks.

    Nobody but who has the code of an agent that is not built in could compute its proposals again, and the report
    compares what all agents said with what came of it.
    """
    return lambda topic, event: full or topic.name != FEATURES.name
