"""How well labels fit the true regimes of a simulated market: accuracy, macro-F1, delay and restlessness."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.regimes import REGIMES

UNKNOWN = -1
_N = len(REGIMES)


class RegimeScores:
    """Counts rows of one market in order, in blocks of any size; memory does not grow with rows.

    A switch is a row whose true regime is not that of the row before. Its delay is the number of rows from it to the
    first that shows the right label: 0 where it already does, infinite where the regime ends before.
    """

    def __init__(self) -> None:
        self.confusion = np.zeros((_N, _N), np.int64)  # true regimes down, labels shown across
        self.rows = 0
        self.changes = 0  # of the label shown
        self.delays: list[float] = []
        self._last = UNKNOWN  # label of the row before
        self._truth = UNKNOWN
        self._since = -1  # row of the switch whose label is not right yet, -1 for none

    def add(self, true: Ints, label: Ints) -> None:
        """The next n rows. true: (n,) index in REGIMES, or -1 where it is unknown; label: (n,) index shown."""
        n = len(true)
        if n == 0:
            return
        known = true != UNKNOWN
        np.add.at(self.confusion, (true[known], label[known]), 1)
        labels = np.concatenate([[label[0] if self._last == UNKNOWN else self._last], label])
        self.changes += int(np.count_nonzero(np.diff(labels)))
        truths = np.concatenate([[true[0] if self.rows == 0 else self._truth], true])
        switches = np.flatnonzero(np.diff(truths))
        edges = [0, *switches.tolist(), n]
        for place, (start, stop) in enumerate(pairwise(edges)):
            if place > 0:
                self._switch(int(truths[start]), int(true[start]), self.rows + start)
            self._look(true, label, start, stop)
        self.rows += n
        self._last, self._truth = int(label[-1]), int(true[-1])

    def _switch(self, before: int, now: int, row: int) -> None:
        if self._since >= 0:
            self.delays.append(math.inf)
        self._since = row if UNKNOWN not in (before, now) else -1

    def _look(self, true: Ints, label: Ints, start: int, stop: int) -> None:
        if self._since < 0 or start == stop:
            return
        right = np.flatnonzero(label[start:stop] == true[start])
        if len(right):
            self.delays.append(float(self.rows + start + int(right[0]) - self._since))
            self._since = -1

    def merge(self, other: "RegimeScores") -> None:
        """Add the counts of another market; the market that was being counted here has ended."""
        self.confusion += other.confusion
        self.rows += other.rows
        self.changes += other.changes
        self.delays += other.delays
        self._last = self._truth = UNKNOWN
        self._since = -1

    @property
    def scored(self) -> int:
        """Number of rows whose true regime is known."""
        return int(self.confusion.sum())

    @property
    def f1(self) -> list[float | None]:
        """F1 score of every regime; None for one that neither occurred nor was shown."""
        right, both = np.diag(self.confusion), self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        return [2.0 * r / b if b else None for r, b in zip(right.tolist(), both.tolist(), strict=True)]

    def figures(self) -> dict[str, Any]:
        """All figures by name; one that these rows do not determine is None.

        switches_per_1000: of the label shown; median_delay: in rows.
        """
        f1 = [value for value in self.f1 if value is not None]
        median = float(np.median(self.delays)) if self.delays else math.inf
        missed = sum(math.isinf(delay) for delay in self.delays)
        return {
            "accuracy": float(np.trace(self.confusion)) / self.scored if self.scored else None,
            "macro_f1": sum(f1) / len(f1) if f1 else None,
            "median_delay": median if math.isfinite(median) else None,
            "switches_per_1000": 1000.0 * self.changes / self.rows if self.rows else None,
            "true_switches": len(self.delays),
            "missed_switches": missed,
            "rows": self.scored,
            "f1": dict(zip(REGIMES, self.f1, strict=True)),
        }
