"""MetaLearningTracker: remembers the newest decisions and the returns of the last days.

A figure that cannot be said yet is NaN, with which no comparison is true: a watchdog that asks whether it is below a
limit hears no. Files say null in its place.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.state import ACTIONS
from windvane.metamodel.base.times import DAY

RECENT = 30
"""Days that recent figures are of."""


class Decided(NamedTuple):
    """One decision; positions are in units of capital, equity in currency."""

    seq: int
    ts: int  # UNIX ns
    action: int  # 0 sell, 1 hold, 2 buy, as people read it
    wanted: float
    target: float
    position: float
    equity: float
    confidence: float
    regime: str
    weights: tuple[float, ...]


def yearly_sharpe(returns: Floats) -> float:
    """Return the annualised Sharpe ratio of daily returns (D,); NaN where all are equal or D < 2."""
    if len(returns) < 2 or not returns.max() > returns.min():
        return math.nan
    return float(returns.mean() / returns.std(ddof=1) * math.sqrt(365.0))


class MetaLearningTracker:
    """Remembers the newest `decision_history_size` decisions, and the returns of the last 30 UTC days."""

    def __init__(self, decision_history_size: int, capital: float) -> None:
        self.decisions: deque[Decided] = deque(maxlen=decision_history_size)
        self.daily: deque[float] = deque(maxlen=RECENT)
        self.seen = 0
        self._capital = capital
        self._day: int | None = None
        self._base = self._equity = self._high = capital
        self.drawdown = 0.0

    def follow(self, ts: Ints, equity: Floats) -> None:
        """Take in the equity of n rows; ts: (n,) UNIX ns; equity: (n,) currency.

        Rows that only warm up are left out: on a day when nothing could be earned there is no return.
        """
        if not len(ts):
            return
        high = np.maximum(np.maximum.accumulate(equity), self._high)
        self.drawdown = max(self.drawdown, float((high - equity).max()) / self._capital)
        self._high = float(high[-1])
        day = (ts - 1) // DAY
        last = np.flatnonzero(np.append(day[1:] != day[:-1], True))
        for number, value in zip(day[last].tolist(), equity[last].tolist(), strict=True):
            if number != self._day:
                self._day, self._base = number, self._equity
                self.daily.append(0.0)
            self._equity = value
            self.daily[-1] = (value - self._base) / self._capital

    def remember(self, rows: int, decisions: Iterator[Decided]) -> None:
        """Count n rows that were decided, and keep the newest decisions up to `decision_history_size`."""
        self.seen += rows
        self.decisions.extend(decisions)

    def summary(self) -> dict[str, Any]:
        """Return figures of the days and decisions that are remembered.

        recent_sharpe is NaN before there are two days past the warm-up, and where they do not differ; mean_confidence
        before the first decision.
        """
        kept = list(self.decisions)
        actions = np.bincount([d.action for d in kept], minlength=len(ACTIONS))
        return {
            "recent_sharpe": yearly_sharpe(np.array(self.daily)),
            "recent_return": float(sum(self.daily)),
            "recent_days": len(self.daily),
            "total_return": (self._equity - self._capital) / self._capital,
            "max_drawdown": self.drawdown,
            "decisions": self.seen,
            "decisions_kept": len(kept),
            "mean_confidence": sum(d.confidence for d in kept) / len(kept) if kept else math.nan,
            "actions": dict(zip(ACTIONS, actions.tolist(), strict=True)),
        }
