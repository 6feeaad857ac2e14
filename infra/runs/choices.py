"""What depended on time in a run, for the runner that computes it again: who was awake, and what was learned when."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future

from windvane.metamodel.base.weights import to_bytes
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, Event, LearnerUpdate, TrainRequest, TrainResult
from windvane.streams.stage import Training
from windvane.streams.topics import LEARNER, Topic


class RecordedChoices:
    """Hands a runner the decisions and learner versions of a journal, no earlier than they are needed.

    read: returns the events of the journal from the first, at every call.
    """

    def __init__(self, read: Callable[[], Iterable[tuple[Topic, Event]]], runner: EmbeddedRunner) -> None:
        self._decisions = (event for _, event in read() if isinstance(event, Decisions))
        self._updates = (event for _, event in read() if isinstance(event, LearnerUpdate))
        self._update = next(self._updates, None)
        self._runner = runner
        self._last = -1

    def follow(self, seq: int) -> None:
        """Hand on the choices of all rows up to `seq`, and the versions that are trained at them."""
        while self._update is not None and self._update.trained_at <= seq:
            self._runner.send(LEARNER, self._update)
            self._update = next(self._updates, None)
        while self._last < seq and (decisions := next(self._decisions, None)) is not None:
            self._runner.follow(decisions)
            self._last = decisions.last


def untrained(request: TrainRequest) -> Training:
    """The trainer of a run computed as recorded: it trains nothing, since the log has every version that was used."""
    done: Future[TrainResult] = Future()
    done.set_result(TrainResult(book=request.book, version=request.version, raw=to_bytes({}, {})))
    return done
