"""As recorded: the ensemble's results computed again from its inputs, with every choice that time made in the run."""

from collections.abc import Iterable, Iterator

import numpy as np

from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import Batch, BookOpened, Decisions, Event, Features, Proposals, cut


def as_recorded(
    opened: BookOpened, decisions: Iterable[Decisions], inputs: Iterable[Event]
) -> Iterator[Event]:
    """Decisions, Orders, Fills, Statements and dead letters of one book, up to the last row that was decided.

    decisions: what was published, in order. inputs: features with the closing of the book, proposals, learner updates
    and controls, every source in its order; other books' are left out. Batches may be cut anew: compare rows.
    """
    book, last = opened.book, -1
    logic = EnsembleStage(None)
    for batch in decisions:
        if batch.book == book:
            logic.follow(batch)
            last = max(last, batch.last)
    yield from logic.step([opened])
    for event in inputs:
        if event.book != book or isinstance(event, BookOpened):
            continue
        if isinstance(event, Features | Proposals):
            decided = _until(event, last)
            yield from logic.step([decided]) if decided is not None else ()
        else:
            yield from logic.step([event])


def _until(batch: Batch, last: int) -> Batch | None:
    """The rows of a batch that were decided."""
    rows = int(np.searchsorted(batch.seq, last, side="right"))
    return cut(batch, 0, rows) if rows else None
