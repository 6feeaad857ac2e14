"""Ring: columns of the newest rows, bounded, appended without a loop over rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Column = np.ndarray[Any, np.dtype[Any]]

_FIRST = 256


class Ring:
    """The newest `most` rows of some columns, each one array. `columns`: by name the dtype, and the width of a matrix.

    Arrays have twice the room and are moved to the front when they are full, so every column is one view and appending
    costs a copy of its rows. They grow with what they hold.
    """

    def __init__(self, most: int, columns: Mapping[str, tuple[type, int]]) -> None:
        self.most = most
        self.total = 0  # rows that were ever appended
        self._start = self._stop = 0
        self._size = min(_FIRST, 2 * most)
        self._columns = {name: self._empty(dtype, width) for name, (dtype, width) in columns.items()}

    def _empty(self, dtype: type, width: int) -> Column:
        return np.zeros((self._size, width) if width else self._size, dtype)

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, name: str) -> Column:
        """A view of a column, oldest row first: (n,) or (n, width); it may change with the next append."""
        return self._columns[name][self._start : self._stop]

    def append(self, **columns: Column) -> None:
        """Add rows, at least one; every column is given with the same length."""
        rows = len(next(iter(columns.values())))
        self.total += rows
        new = min(rows, self.most)
        if self._stop + new > self._size:
            self._make_room(new)
        for name, column in self._columns.items():
            column[self._stop : self._stop + new] = columns[name][rows - new :]
        self._stop += new
        self._start = max(self._start, self._stop - self.most)

    def _make_room(self, new: int) -> None:
        """Move what is kept to the front, of larger arrays where they may grow."""
        kept = min(len(self), self.most - new)
        while self._size < 2 * self.most and kept + new > self._size // 2:
            self._size = min(2 * self._size, 2 * self.most)
        for name, column in self._columns.items():
            moved = np.zeros((self._size, *column.shape[1:]), column.dtype)
            moved[:kept] = column[self._stop - kept : self._stop]
            self._columns[name] = moved
        self._start, self._stop = 0, kept
