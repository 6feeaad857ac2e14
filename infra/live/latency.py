"""Latencies of a session, counted in classes of 2 %, so that weeks of them take a few kilobytes."""

import math

import numpy as np

from windvane.agents.base import Ints

_STEP = math.log(1.02)
_CLASSES = 1000
"""From 1 us to beyond 6 minutes."""


class Latencies:
    """How long it took from a trade that was received to what was decided on it."""

    def __init__(self, counts: Ints | None = None) -> None:
        """counts: (1000,), as an earlier session left them."""
        self.counts = np.zeros(_CLASSES, np.int64) if counts is None else counts

    def add(self, ns: int) -> None:
        """Count one."""
        place = int(math.log(max(ns, 1000) / 1000) / _STEP)
        self.counts[min(place, _CLASSES - 1)] += 1

    def percentile(self, share: float) -> float | None:
        """us that `share` of them, from 0 to 1, are at or below, right to 2 %; None where there are none."""
        total = int(self.counts.sum())
        if total == 0:
            return None
        place = int(np.searchsorted(np.cumsum(self.counts), share * total))
        return math.exp((place + 1) * _STEP)

    def told(self) -> dict[str, float] | None:
        """Median and 99th percentile, us, as metrics.json has them; None where there are none."""
        p50, p99 = self.percentile(0.5), self.percentile(0.99)
        return None if p50 is None or p99 is None else {"p50": round(p50, 1), "p99": round(p99, 1)}
