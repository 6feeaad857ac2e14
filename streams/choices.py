"""What time chose in rounds that were published, so that whoever computes them again chooses the same."""

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
    """What was chosen for the rows below `stop`."""

    awake: Ints | None  # (A,) 1 or 0; None: all
    learner: int  # learner version in use
    control: int  # number of the last control applied
    stop: int  # seq after the last row that this holds for


class Recorded:
    """The choices of a book's rows that are computed again. next_seq: the first row that they may be asked for."""

    def __init__(self, next_seq: int = 0) -> None:
        self.empty = True  # so the usual row, of which nothing is recorded, need not ask
        self._rows: Source[_Choices] = Source(next_seq)

    def add(self, decisions: Decisions) -> None:
        """Keep the choices of published rows; those that were seen before are dropped."""
        self.empty = False
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
        """The choice of a row, and up to where it stays the same; None where nothing is known of the row.

        The rows before it are forgotten: a caller must not ask for them again.
        """
        rows = self._rows
        if rows.next_seq < seq:
            rows.drop(seq)
        if rows.covers <= seq:
            self.empty = rows.beyond == 0
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
