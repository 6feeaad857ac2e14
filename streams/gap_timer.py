"""When rows that a timed book lacks are given up. It is given the time."""

from collections.abc import Mapping

from windvane.streams.stage import Hole

GAP_TIMEOUT = 2_000_000_000
"""ns for which a timed book waits for a row that others have come after."""


class GapTimer:
    """Says which rows were waited for long enough. Its runner calls it before each step.

    Nothing is given up before the ticks have been read to their end: that a worker was away, or reads slowly, is no
    reason to do without rows that lie in its log.
    """

    def __init__(self) -> None:
        self._since: dict[
            str, tuple[int, int]
        ] = {}  # by book the row that is lacking, and when it was first, ns

    def late(self, holes: Mapping[str, Hole], now: int) -> dict[str, int]:
        """For every book that has waited for too long the seq below which rows are to be given up.

        holes: those of the worker, by book; now: ns, of a clock that does not go back.
        """
        before = self._since
        self._since = {
            book: (start, before[book][1] if before.get(book, (-1,))[0] == start else now)
            for book, (start, _) in holes.items()
        }
        return {
            book: holes[book].stop for book, (_, since) in self._since.items() if now - since >= GAP_TIMEOUT
        }
