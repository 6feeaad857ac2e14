"""Watchdog: for how long a market may be silent before the connection is taken for dead."""

LEAST, MOST = 5.0, 60.0
"""Seconds of silence: never less, since a busy market pauses, and never more, since nobody would be told."""
TIMES = 10.0
"""A silence this many times the usual distance of two frames is unusual."""
_FIRST = LEAST / TIMES
_MEMORY = 64.0


class Watchdog:
    """Learns the usual distance of frames, as an exponential mean over about 64 of them.

    It has no clock: seconds of any one clock are passed in. What it learned outlives a connection, so a quiet market is
    dialled in vain a few times, with the limit doubled each time, and then no more.
    """

    def __init__(self, now: float) -> None:
        self._last = now
        self._usual = _FIRST

    @property
    def limit(self) -> float:
        """Seconds of silence after which the connection is to be dropped."""
        return min(MOST, max(LEAST, TIMES * self._usual))

    def frame(self, now: float) -> None:
        """A frame came, of whatever content."""
        self._usual += (now - self._last - self._usual) / _MEMORY
        self._last = now

    def start(self, now: float) -> None:
        """A connection begins: the time without one is no distance of frames."""
        self._last = now

    def silent(self, now: float) -> float:
        """Seconds of silence where they are over the limit, else 0; the limit is doubled where they are."""
        silence = now - self._last
        if silence < self.limit:
            return 0.0
        self._usual = 2.0 * self.limit / TIMES
        return silence
