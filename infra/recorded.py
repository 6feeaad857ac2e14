"""The choices that time made in a run, told to the runner that computes it again."""

from collections.abc import Iterable

from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, Event
from windvane.streams.topics import Topic


class RecordedChoices:
    """The decisions of a journal, told to a runner no earlier than they are needed."""

    def __init__(self, records: Iterable[tuple[Topic, Event]], runner: EmbeddedRunner) -> None:
        self._decisions = (event for _, event in records if isinstance(event, Decisions))
        self._runner = runner
        self._last = -1

    def follow(self, seq: int) -> None:
        """Tell the choices of all rows up to `seq`."""
        while self._last < seq and (decisions := next(self._decisions, None)) is not None:
            self._runner.follow(decisions)
            self._last = decisions.last
