"""Which rows of a timed book were given up before, as published rows record it, so that they are given up again."""

import numpy as np

from windvane.agents.base import Ints
from windvane.streams.events import GAP, Decisions, Features, Ticks, cut, join


class RecordedGaps:
    """The rows that were made up, from the features or decisions that were published.

    next_seq: the next row to be worked off; time: the time of the row before it, UNIX ns. A made-up row has the time of
    the row before it, while a row that ends a hole in time has a later one; both are flagged GAP.
    """

    def __init__(self, next_seq: int = 0, time: int = 0) -> None:
        self._next_seq, self._time = next_seq, time  # of the rows that were followed
        self._missing: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._missing)

    def follow(self, rows: Decisions | Features) -> None:
        """Take note of published rows. They come in order; those that came before are passed over."""
        first = int(np.searchsorted(rows.seq, self._next_seq))
        if first == len(rows):
            return
        ts = rows.ts[first:]
        before = np.concatenate([[self._time], ts[:-1]])
        made_up = (rows.flags[first:] & GAP != 0) & (ts == before)
        self._missing.update(rows.seq[first:][made_up].tolist())
        self._next_seq, self._time = rows.last + 1, int(ts[-1])

    def stop(self, seq: int) -> int:
        """Seq after the rows from `seq` on that were given up; `seq` itself where that row was not."""
        while seq in self._missing:
            seq += 1
        return seq

    def forget(self, stop: int) -> None:
        """Forget the rows below `stop`, which are worked off."""
        self._missing = {seq for seq in self._missing if seq >= stop}

    def without(self, rows: Ticks) -> Ticks | None:
        """The rows that were not given up, None where there are none."""
        keep: Ints = np.flatnonzero([seq not in self._missing for seq in rows.seq.tolist()])
        if len(keep) == len(rows):
            return rows
        return join([cut(rows, at, at + 1) for at in keep.tolist()]) if len(keep) else None
