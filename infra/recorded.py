"""What time made of a run, told to the runner that computes it again: its choices, and what was learned in it."""

from collections.abc import Callable, Iterable

from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, Event, LearnerUpdate
from windvane.streams.topics import LEARNER, Topic


class RecordedChoices:
    """The decisions and learner versions of a journal, told to a runner no earlier than they are needed."""

    def __init__(self, read: Callable[[], Iterable[tuple[Topic, Event]]], runner: EmbeddedRunner) -> None:
        self._decisions = (event for _, event in read() if isinstance(event, Decisions))
        self._updates = (event for _, event in read() if isinstance(event, LearnerUpdate))
        self._update = next(self._updates, None)
        self._runner = runner
        self._last = -1

    def follow(self, seq: int) -> None:
        """Tell the choices of all rows up to `seq`, and the versions that they train."""
        while self._update is not None and self._update.trained_at <= seq:
            self._runner.send(LEARNER, self._update)
            self._update = next(self._updates, None)
        while self._last < seq and (decisions := next(self._decisions, None)) is not None:
            self._runner.follow(decisions)
            self._last = decisions.last
