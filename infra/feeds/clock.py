"""ExchangeClock: the exchange's time, from this machine's and the offset between them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from statistics import median_low

ROUNDS = 5
EVERY = 60.0
"""Seconds between two measurements."""
AHEAD = 60_000_000_000
"""ns by which a trade's time may be ahead of the estimate and is believed: no exchange sends trades of the future."""
DRIFT = 1_000_000_000
"""ns of disagreement between a trade's time and the estimate that call for a measurement before the minute is over."""


class ExchangeClock:
    """Estimates the exchange's time from the middle of five round trips; the median is not moved by a slow one.

    It counts by the monotonic clock from the last measurement on, so a step of this machine's clock moves nothing.
    """

    def __init__(self) -> None:
        self.offset = 0
        self._ahead_of_monotonic = time.time_ns() - time.monotonic_ns()
        self._newest = 0

    async def measure(self, ask: Callable[[], Awaitable[int]]) -> int:
        """Ask for the exchange's time (ns) five times, and return the offset to this machine's clock in ns."""
        found = []
        for _ in range(ROUNDS):
            sent = time.monotonic_ns()
            theirs = await ask()
            found.append(theirs - (sent + time.monotonic_ns()) // 2)
        self._ahead_of_monotonic = median_low(found)
        self.offset = self._ahead_of_monotonic + time.monotonic_ns() - time.time_ns()
        self._newest = 0
        return self.offset

    def saw(self, ts: int) -> bool:
        """A trade of time ts (ns) came: it is a lower bound of the time. Returns whether to measure again."""
        ahead = ts - self._estimate()
        if 0 < ahead <= AHEAD:
            self._newest = max(self._newest, ts)
        return abs(ahead) > DRIFT

    def now(self) -> int:
        """ns, the exchange's time; never before a trade that was seen."""
        return max(self._estimate(), self._newest)

    def _estimate(self) -> int:
        return time.monotonic_ns() + self._ahead_of_monotonic
