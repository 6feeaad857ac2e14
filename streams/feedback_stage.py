"""Stage "feedback": scores every agent on what its own proposals would have earned, and says what learning came to.

It learns from features and proposals only, never from decisions, so it gives the same in every run of the same ticks.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.counterfactual import Counterfactual, Rows
from windvane.streams.books import BookStage, letter
from windvane.streams.events import BookOpened, Event, Features, LearnerUpdate, Proposals, TrainResult
from windvane.streams.joining import Joint, Step
from windvane.streams.retraining import Retraining, weights_of
from windvane.streams.schedule import Schedule


class _Book:
    def __init__(self, opened: BookOpened, taken: int = 0, good: int = 0) -> None:
        config = opened.config
        self.name = opened.book
        self.joint = Joint(config.agents, taken)
        self.schedule = Schedule(config.weighing, good)
        self.scores = Counterfactual(
            len(config.agents), config.costs, config.capital, config.lot, config.weighing
        )
        self.retraining = Retraining(opened.book, config) if config.weighing.retraining else None
        self.results: list[TrainResult] = []

    def save(self) -> dict[str, Any]:
        return {
            "taken": self.joint.taken,
            "good": self.schedule.good,
            **self.scores.state(),
            **({} if self.retraining is None else self.retraining.save()),
        }


class FeedbackStage(BookStage[_Book]):
    """Features, Proposals and what is in the log already in, LearnerUpdates out: one for every version.

    Where a book retrains, TrainRequests go to the runner's trainer, whose TrainResults come in like any event.
    """

    def open(self, opened: BookOpened) -> _Book:
        """A new book."""
        return _Book(opened)

    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> _Book:
        """A book from its snapshot."""
        book = _Book(opened, saved["taken"], saved["good"])
        book.scores.restore(saved)
        if book.retraining is not None:
            book.retraining.restore(saved)
            self._moved[book.name] = None  # what was asked for is asked for again
        return book

    def take(self, state: _Book, event: Event) -> Iterator[Event]:
        """Hold rows, results and versions that are in the log."""
        if isinstance(event, Features | Proposals):
            yield from joined(state.joint, event)
        elif isinstance(event, TrainResult):
            state.results.append(event)
        elif isinstance(event, LearnerUpdate) and state.retraining is not None:
            _adopt(state, state.retraining, event)

    def done(self, state: _Book) -> int:
        """Next seq."""
        return state.joint.taken

    def settled(self, state: _Book) -> bool:
        """Not while a version waits for its training: the ensemble may wait for it."""
        return state.retraining is None or state.retraining.idle

    def waits_for(self, state: _Book) -> Iterator[str]:
        """Whoever has the next row."""
        yield state.joint.waits

    def retrains(self) -> Iterator[str]:
        """Books that need a trainer."""
        return (book for book, state in self._states.items() if state.retraining is not None)

    def advance(self, state: _Book, closing: int | None) -> Iterator[Event]:
        """Score all rows that are there, unless too many versions wait for their training."""
        if state.retraining is not None:
            results, state.results = state.results, []
            for result in (*results, None):
                yield from state.retraining.step(result)
        for step in state.joint.steps(lambda start, stop: _barrier(state, start, stop)):
            rows, at = step.features, 0
            for version, seq in state.schedule.advance(rows.seq, rows.flags):
                stop = seq - rows.first + 1
                _score(state, step, at, stop)
                at = stop
                update = _update(state, version, seq)
                if state.retraining is None:
                    yield update
                else:
                    state.retraining.tell(update, state.scores.samples())
                    yield from state.retraining.step()
            _score(state, step, at, len(rows))


def _barrier(state: _Book, start: int, stop: int) -> int:
    """Where the next step ends: with one version at most, where versions are trained."""
    if state.retraining is None:
        return stop
    if state.retraining.full:
        return start
    return min(stop, start + state.schedule.left)


def _score(state: _Book, step: Step, start: int, stop: int) -> None:
    rows = step.features
    state.scores.step(Rows.of(rows, rows.regime, step.target), start, stop)


def _adopt(state: _Book, retraining: Retraining, update: LearnerUpdate) -> None:
    """Take in a version that is in the log, if it can be used."""
    try:
        if update.outcome == "swapped":
            retraining.verify(weights_of(update))
    except WeightsError:
        update = msgspec.structs.replace(update, outcome="kept", weights="")  # as the ensemble does
    retraining.adopt(update)


def joined(joint: Joint, batch: Features | Proposals) -> Iterator[Event]:
    """Hold rows, unless they speak for agents that the book does not have."""
    strangers = set(batch.agents) - set(joint.agents) if isinstance(batch, Proposals) else set()
    if strangers:
        yield letter(batch, f"book {batch.book} has no agent {', '.join(sorted(strangers))}")
    else:
        joint.add(batch)


def _update(state: _Book, version: int, seq: int) -> LearnerUpdate:
    samples, means = state.scores.harvest()
    return LearnerUpdate(
        book=state.name,
        version=version,
        trained_at=seq,
        effective_from=seq + state.schedule.lag,
        outcome="kept",
        samples=samples,
        agents=state.joint.agents,
        scores=tuple(np.asarray(means).tolist()),
    )
