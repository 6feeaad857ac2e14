"""The ensemble's results of one book as recorded, from what the ensemble has read."""

from collections.abc import Iterable

import numpy as np

from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    Batch,
    BookOpened,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    cut,
)
from windvane.streams.recorded import RecordedChoices
from windvane.streams.topics import DECISIONS, FEATURES, Topic
from windvane.streams.topology import TOPOLOGY

(ENSEMBLE,) = (stage for stage in TOPOLOGY if DECISIONS in stage.emits)


def as_recorded(opened: BookOpened, decisions: Iterable[Decisions], inputs: Iterable[Event]) -> list[Event]:
    """Decisions, Orders, Fills, Statements and dead letters of one book, up to the last row that was decided.

    decisions: what was published, in order. inputs: features with the closing of the book, proposals, learner updates
    and controls, every source in its order; other books' are left out. Batches may be cut anew: compare rows.
    """
    published = [batch for batch in decisions if batch.book == opened.book]
    last = max((batch.last for batch in published), default=-1)
    mine = [e for e in inputs if e.book == opened.book and not isinstance(e, BookOpened)]
    out: list[Event] = []

    def listen(topic: Topic, event: Event) -> None:
        if topic in ENSEMBLE.emits:
            out.append(event)

    runner = EmbeddedRunner(listen, topology=[ENSEMBLE])
    choices = RecordedChoices(published, [e for e in mine if isinstance(e, LearnerUpdate)], runner)
    runner.send(FEATURES, opened)
    for event in mine:
        if isinstance(event, LearnerUpdate):
            continue
        decided = _until(event, last) if isinstance(event, Features | Proposals) else event
        if decided is None:
            continue
        if isinstance(decided, Batch):
            choices.follow(decided.last)
        runner.send(next(t for t in ENSEMBLE.reads if type(decided) in t.carries), decided)
        runner.pump()
    return out


def _until(batch: Batch, last: int) -> Batch | None:
    """The rows of a batch that were decided."""
    rows = int(np.searchsorted(batch.seq, last, side="right"))
    return cut(batch, 0, rows) if rows else None
