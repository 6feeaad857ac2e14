"""As recorded: a run computed again with the choices that time made in it, and with what was learned in it."""

from collections.abc import Iterable

from windvane.metamodel.base.weights import to_bytes
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Decisions, LearnerUpdate, TrainRequest, TrainResult
from windvane.streams.stage import Training
from windvane.streams.topics import LEARNER


class RecordedChoices:
    """The decisions and learner versions of one book, handed to a runner no earlier than its rows need them.

    decisions, updates: as they were published, each in order; they are read as far as `follow` asks.
    """

    def __init__(
        self, decisions: Iterable[Decisions], updates: Iterable[LearnerUpdate], runner: EmbeddedRunner
    ) -> None:
        self._decisions = iter(decisions)
        self._updates = iter(updates)
        self._update = next(self._updates, None)
        self._runner = runner
        self._last = -1  # seq of the last row whose choices the runner has

    def follow(self, seq: int) -> None:
        """Hand over the choices of all rows up to `seq`, and the versions that they train; before the rows are fed."""
        while self._update is not None and self._update.trained_at <= seq:
            self._runner.send(LEARNER, self._update)
            self._update = next(self._updates, None)
        while self._last < seq and (decisions := next(self._decisions, None)) is not None:
            self._runner.follow(decisions)
            self._last = decisions.last


class _Untrained:
    """A training that is done at once and has learned nothing."""

    def __init__(self, request: TrainRequest) -> None:
        self._request = request

    def done(self) -> bool:
        """True: there is nothing to wait for."""
        return True

    def result(self) -> TrainResult:
        """No weights, so the version counts as kept."""
        return TrainResult(book=self._request.book, version=self._request.version, raw=to_bytes({}, {}))


def untrained(request: TrainRequest) -> Training:
    """The trainer of a run computed as recorded: with a version that the log does not have nothing was decided."""
    return _Untrained(request)
