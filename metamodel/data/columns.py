"""Columns: market rows, as every feed, reader and simulator hands them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windvane.agents.base import Floats, Ints

OPTIONAL_FLOATS = ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
OPTIONAL = (*OPTIONAL_FLOATS, "regime")
REAL = ("price", *OPTIONAL_FLOATS)
"""Order of the rows of `Columns.matrix`."""


@dataclass(frozen=True, slots=True)
class Columns:
    """n >= 0 rows of one symbol in arrival order; an absent column is None, never NaN.

    ts: (n,) int64, event time in UNIX ns UTC (of a bar: its end). price: (n,) quote currency. size: (n,) base
    currency traded in the row, of which buy_size was bought by the aggressor. bid, ask: (n,) best prices,
    with bid_size, ask_size in base currency. regime: (n,) int64, the true label 0..6 or -1
    in a row where it is unknown; for scoring only.
    """

    ts: Ints
    price: Floats
    size: Floats | None = None
    bid: Floats | None = None
    ask: Floats | None = None
    bid_size: Floats | None = None
    ask_size: Floats | None = None
    buy_size: Floats | None = None
    regime: Ints | None = None

    def __post_init__(self) -> None:
        for name in ("ts", "price", *OPTIONAL):
            column = getattr(self, name)
            if column is None:
                continue
            dtype = np.int64 if name in ("ts", "regime") else np.float64
            if not isinstance(column, np.ndarray) or column.dtype != dtype or column.shape != self.ts.shape:
                raise ValueError(
                    f"column {name} must be a {np.dtype(dtype).name} array of shape {self.ts.shape}"
                )

    def __len__(self) -> int:
        return int(self.ts.shape[0])

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the optional columns that are not None."""
        return tuple(name for name in OPTIONAL if getattr(self, name) is not None)

    def matrix(self) -> tuple[Ints, Floats, Ints, Ints]:
        """The columns as a kernel steps through them, always of the same four types, so that it is compiled once.

        ts: (n,); values: (7, n), in the order of `REAL`, absent columns 0; there: (8,), 1 where a column is
        there (the last one is the regime); regime: (n,).
        """
        n = len(self)
        values = np.zeros((len(REAL), n), np.float64)
        there = np.zeros(len(REAL) + 1, np.int64)
        for k, name in enumerate((*REAL, "regime")):
            column = getattr(self, name)
            there[k] = column is not None
            if column is not None and name != "regime":
                values[k] = column
        regime = np.zeros(n, np.int64) if self.regime is None else np.array(self.regime)
        return np.array(self.ts), values, there, regime

    def take(self, rows: slice | Ints | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Columns:
        """The rows that a slice, an index or a mask selects."""
        chosen = {name: getattr(self, name)[rows] for name in self.present}
        return Columns(self.ts[rows], self.price[rows], **chosen)


def concat(parts: Sequence[Columns]) -> Columns:
    """The rows of one part after those of the other; raises ValueError unless all parts have the same columns."""
    present = parts[0].present
    if any(part.present != present for part in parts):
        raise ValueError("batches with different columns cannot be joined")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in present}
    return Columns(
        np.concatenate([part.ts for part in parts]), np.concatenate([part.price for part in parts]), **joined
    )
