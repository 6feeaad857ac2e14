"""The daily figures of every account, collected in one pass over its equity at every row.

For every day and account four numbers are kept: the last PnL, the highest, the lowest, and the largest fall within
the day. The largest fall over several days follows from these exactly, since it either lies within one day or goes
from the high of a day to the low of a later one.
"""

import itertools
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.times import DAY


class Span(NamedTuple):
    """Figures of K accounts on D consecutive UTC days; on a day without rows the PnL stays as it was.

    PnL is the sum of profits and losses since the first row, not compounded.
    """

    day: Ints  # (D,) days since 1970-01-01
    returns: Floats  # (D, K) the day's PnL / capital
    open: Floats  # (D, K) PnL / capital when the day began
    high: Floats  # (D, K) highest PnL / capital of the day
    low: Floats  # (D, K)
    fall: Floats  # (D, K) largest fall within the day

    @property
    def years(self) -> Ints:
        """(D,) calendar year of every day."""
        return self.day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970

    def take(self, rows: "slice | np.ndarray[tuple[int], np.dtype[np.bool_]]") -> "Span":
        """Return the span of some consecutive days, chosen by a slice or a mask (D,)."""
        return Span(self.day[rows], *(column[rows] for column in self[1:]))

    def max_drawdown(self) -> Floats:
        """(K,) largest fall of PnL / capital over the span, from the PnL it began with; 0 or more."""
        if len(self.day) == 0:
            return np.zeros(self.returns.shape[1])
        peak = np.maximum.accumulate(np.maximum(self.high, self.open[:1]), axis=0)
        before = np.concatenate([self.open[:1], peak[:-1]])
        return np.maximum(np.maximum(before - self.low, self.fall), 0.0).max(axis=0)


class Days:
    """Collects the daily figures of K accounts, which all begin with an equity of `capital` and no position."""

    def __init__(self, accounts: int, capital: float) -> None:
        self._accounts = accounts
        self._capital = capital
        self._day: list[int] = []
        self._close: list[Floats] = []
        self._high: list[Floats] = []
        self._low: list[Floats] = []
        self._fall: list[Floats] = []

    def add(self, ts: Ints, equities: Floats) -> None:
        """Add the next n rows.

        ts: (n,) UNIX ns, not falling, or ValueError is raised; equities: (n, K) currency. A row belongs to the UTC day
        of ts - 1 ns, so that a bar which ends at midnight belongs to the day that it covers.
        """
        if len(ts) == 0:
            return
        day = (ts - 1) // DAY
        pnl = equities - self._capital
        if (np.diff(ts) < 0).any() or (self._day and day[0] < self._day[-1]):
            raise ValueError("rows go back in time: a book's ts must not fall")
        edges = [0, *(np.flatnonzero(np.diff(day)) + 1).tolist(), len(ts)]
        for start, stop in itertools.pairwise(edges):
            part = pnl[start:stop]
            peak = np.maximum.accumulate(part, axis=0)
            fall, low = (peak - part).max(axis=0), part.min(axis=0)
            if self._day and self._day[-1] == day[start]:
                self._fall[-1] = np.maximum(np.maximum(self._fall[-1], fall), self._high[-1] - low)
                self._high[-1] = np.maximum(self._high[-1], peak[-1])
                self._low[-1] = np.minimum(self._low[-1], low)
                self._close[-1] = part[-1].copy()
            else:
                self._day.append(int(day[start]))
                self._close.append(part[-1].copy())
                self._high.append(peak[-1].copy())
                self._low.append(low)
                self._fall.append(fall)

    def span(self) -> Span:
        """Return the figures of all calendar days from the first row to the last so far."""
        k = self._accounts
        if not self._day:
            none = np.zeros((0, k))
            return Span(np.zeros(0, np.int64), none, none, none, none, none)
        seen = np.array(self._day, np.int64)
        at = seen - seen[0]
        day = np.arange(seen[0], seen[-1] + 1)
        close = np.array(self._close) / self._capital
        which = np.searchsorted(at, np.arange(len(day)), side="right") - 1
        closes = close[which]
        opens = np.concatenate([np.zeros((1, k)), closes[:-1]])
        returns, fall = np.zeros((len(day), k)), np.zeros((len(day), k))
        high, low = closes.copy(), closes.copy()
        returns[at] = np.diff(np.array(self._close), axis=0, prepend=0.0) / self._capital
        high[at] = np.array(self._high) / self._capital
        low[at] = np.array(self._low) / self._capital
        fall[at] = np.array(self._fall) / self._capital
        return Span(day, returns, opens, high, low, fall)
