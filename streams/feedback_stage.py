"""Stage "feedback": scores every agent on what its own proposals would have earned, and says what learning came to.

It reads features and proposals only, never decisions, so it gives the same in every run of the same ticks.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from windvane.metamodel.counterfactual import Counterfactual
from windvane.streams.books import BookStage, letter
from windvane.streams.events import BookOpened, Event, Features, LearnerUpdate, Proposals
from windvane.streams.joining import Joint
from windvane.streams.schedule import Schedule


class _Book:
    def __init__(self, opened: BookOpened, taken: int = 0, good: int = 0) -> None:
        config = opened.config
        self.name = opened.book
        self.joint = Joint(config.agents, taken)
        self.schedule = Schedule(config.weighing, good)
        self.scores = Counterfactual(len(config.agents), config.costs, config.capital, config.lot)

    def save(self) -> dict[str, Any]:
        return {"taken": self.joint.taken, "good": self.schedule.good, **self.scores.state()}


class FeedbackStage(BookStage[_Book]):
    """Features and Proposals in, LearnerUpdates out: one for every version."""

    def open(self, opened: BookOpened) -> _Book:
        """A new book."""
        return _Book(opened)

    def restore(self, opened: BookOpened, saved: dict[str, Any]) -> _Book:
        """A book from its snapshot."""
        book = _Book(opened, saved["taken"], saved["good"])
        book.scores.restore(saved)
        return book

    def take(self, state: _Book, event: Event) -> Iterator[Event]:
        """Hold rows."""
        if isinstance(event, Features | Proposals):
            yield from joined(state.joint, event)

    def done(self, state: _Book) -> int:
        """Next seq."""
        return state.joint.taken

    def waits_for(self, state: _Book) -> Iterator[str]:
        """Whoever has the next row."""
        yield state.joint.waits

    def advance(self, state: _Book, closing: int | None) -> Iterator[Event]:
        """Score all rows that are there."""
        for step in state.joint.steps(lambda start, stop: stop):
            rows, at = step.features, 0
            for version, seq in state.schedule.advance(rows.seq, rows.flags):
                stop = seq - rows.first + 1
                state.scores.step(rows.flags, rows.mid, rows.bid, rows.ask, step.target, at, stop)
                at = stop
                yield _update(state, version, seq)
            state.scores.step(rows.flags, rows.mid, rows.bid, rows.ask, step.target, at, len(rows))


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
