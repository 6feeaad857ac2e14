"""What time made of a run, told to the runner that computes it again: its choices, and what was learned in it."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from windvane.metamodel.base.weights import to_bytes
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, Event, LearnerUpdate, TrainRequest, TrainResult
from windvane.streams.stage import Training
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


def untrained(request: TrainRequest) -> Training:
    """The trainer of a run computed as recorded: what the log does not have, no decision was made with."""
    done: Future[TrainResult] = Future()
    done.set_result(TrainResult(book=request.book, version=request.version, raw=to_bytes({}, {})))
    return done
