"""Cuts batches of any size into blocks of one size, so that results do not depend on the size of the batches."""

from collections.abc import Iterator
from typing import Generic

from windvane.streams.events import B, cut, join

ROWS = 65_536
"""Rows in a block, and in a row group of decisions.parquet."""


class Blocks(Generic[B]):
    """Collects batches of one event type and yields blocks of exactly `rows` rows.

    It keeps at most one block and one batch in memory.
    """

    def __init__(self, rows: int = ROWS) -> None:
        self._rows = rows
        self._waiting: list[B] = []
        self._count = 0

    def add(self, batch: B) -> Iterator[B]:
        """Take in the next batch and yield the blocks that it completes; nothing happens until they are iterated."""
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
        """Yield the rows that are left after the last batch, as one shorter block, and begin anew."""
        if self._waiting:
            yield join(self._waiting)
        self._waiting, self._count = [], 0
