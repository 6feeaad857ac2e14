"""Dialling: when a lost connection may be tried again, so that no exchange bans the address."""

from __future__ import annotations

from collections import deque
from random import Random

BUDGET, PERIOD = 6, 30.0
"""Attempts in any so many seconds: one in 5 s on average, a fifth of what Binance bans an address for (300 in 5
minutes)."""
FIRST, MOST = 1.0, 30.0
"""Seconds before the attempt after one that failed, doubled with each, and the most it comes to."""
HEALTHY = 5.0
"""Seconds that a connection must have lasted for the waiting times to begin anew: a door that opens and is slammed is
no success."""


class Dialling:
    """Exponential waiting with jitter, inside a budget of attempts. It has no clock: seconds are passed in."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._attempts: deque[float] = deque(maxlen=BUDGET)
        self._failures = 0
        self._not_before = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next attempt may be made, 0 where it may be made now."""
        earliest = self._not_before
        if len(self._attempts) == BUDGET:
            earliest = max(earliest, self._attempts[0] + PERIOD)
        return max(0.0, earliest - now)

    def attempt(self, now: float) -> None:
        """An attempt is made."""
        self._attempts.append(now)

    def ended(self, now: float, lasted: float) -> None:
        """An attempt failed, or its connection ended after `lasted` seconds."""
        if lasted >= HEALTHY:
            self._failures = 0
        elif now >= self._not_before:  # sockets that end together are one failure
            self._failures += 1
            longest = min(MOST, FIRST * 2.0 ** min(self._failures - 1, 16))
            self._not_before = max(self._not_before, now + longest * (0.5 + 0.5 * self._random.random()))

    def forbid(self, now: float, seconds: float) -> None:
        """The exchange asked to be left alone for so many seconds."""
        self._not_before = max(self._not_before, now + seconds)
