"""A book whose predictor is retrained, and trainers that need no torch."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from simulated_book import Recorded, config, opening, ticks
from windvane.metamodel.base import weights
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members import predictor
from windvane.streams import topics
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    Ticks,
    TrainRequest,
    TrainResult,
    cut,
)

ROWS, EVERY, LAG = 1_300, 96, 7
VERSIONS = ROWS // EVERY
AGENTS = 6


class Now:
    """A training that is done when it is begun."""

    def __init__(self, result: TrainResult) -> None:
        self._result = result

    def done(self) -> bool:
        return True

    def result(self) -> TrainResult:
        return self._result


Scores = Callable[[int], tuple[float, float]]


def better(version: int) -> tuple[float, float]:
    """New and old score: every version is swapped, but for each third."""
    return (2.0, 1.0) if version % 3 == 0 else (1.0, 2.0)


class FakeTrainer:
    """Draws the weights from a digest of the request, so the same request alone gives the same weights."""

    def __init__(self, scores: Scores = better, value: float | None = None, features: int = 50) -> None:
        self.asked: list[TrainRequest] = []
        self._scores, self._value, self._features = scores, value, features

    def __call__(self, request: TrainRequest) -> Now:
        self.asked.append(request)
        return Now(self.train(request))

    def train(self, request: TrainRequest) -> TrainResult:
        rng = np.random.default_rng(list(hashlib.sha256(request.raw).digest()))
        shapes = predictor.shapes(self._features, AGENTS)
        made = {n: (0.1 * rng.standard_normal(shape)).astype(np.float16) for n, shape in shapes.items()}
        if self._value is not None:
            made["w1"][0, 0, 0] = self._value
        new, old = self._scores(request.version)
        raw = weights.to_bytes(made, {"score_new": repr(new), "score_old": repr(old)})
        return TrainResult(book=request.book, version=request.version, raw=raw)


def settings(**changes: object) -> WeighingConfig:
    usual: dict[str, object] = {"meta_training_frequency": 3, "learner_lag": LAG, "retraining": True}
    return WeighingConfig(**usual | changes)  # type: ignore[arg-type]


def events(rows: int = ROWS, **changes: object) -> list[Event]:
    """Opening, all ticks in one batch, closing; a version every 96 good rows."""
    start = opening(config(weighing=settings(**changes)))
    return [start, ticks(rows), BookClosed(book="book", last=rows - 1)]


def run(given: Sequence[Event], trainer: FakeTrainer | None = None, *, wire: bool = False) -> Recorded:
    seen: Recorded = []
    runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), wire=wire, trainer=trainer or FakeTrainer())
    for event in given:
        runner.feed([event])
    return seen


@cache
def reference() -> Recorded:
    return run(events())


def updates(seen: Recorded) -> list[LearnerUpdate]:
    return [e for _, e in seen if isinstance(e, LearnerUpdate)]


def cuts(rows: int) -> list[Event]:
    first, ticks, last = events()
    assert isinstance(ticks, Ticks)
    return [first, *(cut(ticks, at, at + rows) for at in range(0, ROWS, rows)), last]


def inputs() -> list[Event]:
    """What the feedback stage reads, in order."""
    return [
        e
        for t, e in reference()
        if isinstance(e, Features | Proposals) or (t == topics.FEATURES and isinstance(e, BookOpened))
    ]
