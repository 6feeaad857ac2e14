"""What is wrong with a file as a whole, which is an error, or with a row of it, which is a dead letter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, overload

import numpy as np

from windvane.agents.base import Ints
from windvane.agents.errors import WindvaneError

EMPTY = "empty: the row holds no price"
DUPLICATE = "duplicate"
HARMLESS = (EMPTY, DUPLICATE)
"""Reasons of rows that are left out without a doubt that the file is read rightly."""


class InputError(WindvaneError):
    """A file that cannot be used: the message is one sentence that says why, and what to do."""


class DeadLetter(NamedTuple):
    """A row of a file that was rejected, and why."""

    row: int  # 1 is the first row of data; a header and empty lines are not counted
    reason: str


class DeadLetters(Sequence[DeadLetter]):
    """The rejected rows of a file in its order, kept as columns, since a bad file may have a million."""

    def __init__(self, row: Ints, code: Ints, reasons: Sequence[str]) -> None:
        """row: (r,) row numbers from 1; code: (r,) positions in `reasons`."""
        order = np.argsort(row, kind="stable")
        self.row = row[order]
        self.code = code[order]
        self.all_reasons = tuple(reasons)

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[DeadLetter]:
        for row, code in zip(self.row.tolist(), self.code.tolist(), strict=True):
            yield DeadLetter(row, self.all_reasons[code])

    @overload
    def __getitem__(self, index: int) -> DeadLetter: ...
    @overload
    def __getitem__(self, index: slice) -> list[DeadLetter]: ...
    def __getitem__(self, index: int | slice) -> DeadLetter | list[DeadLetter]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return DeadLetter(int(self.row[index]), self.all_reasons[self.code[index]])

    def counts(self) -> dict[str, int]:
        """How many rows each reason has rejected, the most frequent first."""
        number = np.bincount(self.code, minlength=len(self.all_reasons))
        return {self.all_reasons[k]: int(number[k]) for k in np.argsort(-number, kind="stable") if number[k]}
