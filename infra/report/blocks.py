"""Batches of any size in, blocks of one size out: what is computed never sees how the events were cut."""

from collections.abc import Iterator
from typing import Generic

from windvane.streams.events import B, cut, join

ROWS = 65_536
"""Rows of a block, and of a row group of a table."""


class Blocks(Generic[B]):
    """Collects batches of one type; at most one block and one batch are in memory."""

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._waiting: list[B] = []
        self._count = 0

    def add(self, batch: B) -> Iterator[B]:
        """Blocks of exactly `rows` rows that are complete with this batch."""
        self._waiting.append(batch)
        self._count += len(batch)
        if self._count < self._rows:
            return
        whole = join(self._waiting)
        start = 0
        while self._count - start >= self._rows:
            yield cut(whole, start, start + self._rows)
            start += self._rows
        self._waiting = [cut(whole, start, self._count)] if start < self._count else []
        self._count -= start

    def rest(self) -> Iterator[B]:
        """What is left once the last batch is in."""
        if self._waiting:
            yield join(self._waiting)
        self._waiting, self._count = [], 0
