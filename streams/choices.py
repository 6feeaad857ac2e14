"""What time chose in rounds that were published: the same is to be chosen again."""

from typing import ClassVar, NamedTuple

import numpy as np

from windvane.agents.base import Ints
from windvane.streams.events import Batch, Decisions
from windvane.streams.joining import Source


class _Choices(Batch, frozen=True, kw_only=True):
    """The columns of Decisions that time decides."""

    matrices: ClassVar[dict[str, str]] = {"awake": ""}

    learner: Ints  # (n,)
    controls: Ints  # (n,)
    awake: Ints | None  # (n, A)


class Choice(NamedTuple):
    """What holds for rows up to `stop`, not included."""

    awake: Ints | None  # (A,) 1 or 0; None: all
    learner: int  # version in use
    control: int  # number of the last control applied
    stop: int


class Recorded:
    """The choices of a book's rows that are computed again."""

    def __init__(self, taken: int = 0) -> None:
        self._rows: Source[_Choices] = Source(taken)

    def add(self, decisions: Decisions) -> None:
        """Take in published rows; those seen before are dropped."""
        self._rows.add(
            _Choices(
                book=decisions.book,
                seq=decisions.seq,
                learner=decisions.learner,
                controls=decisions.controls,
                awake=decisions.awake,
            )
        )

    def at(self, seq: int) -> Choice | None:
        """What was chosen at a row, and how far the same; None past the last row known. Earlier rows are forgotten."""
        rows = self._rows
        if rows.taken < seq:
            rows.drop(seq)
        if rows.covers <= seq:
            return None
        head = rows.head
        same = (head.learner == head.learner[0]) & (head.controls == head.controls[0])
        if head.awake is not None:
            same &= (head.awake == head.awake[0]).all(axis=1)
        changes = np.flatnonzero(~same)
        return Choice(
            None if head.awake is None else head.awake[0],
            int(head.learner[0]),
            int(head.controls[0]),
            seq + (int(changes[0]) if len(changes) else len(head)),
        )
