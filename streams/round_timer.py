"""When the rounds of timed books are closed without those who have not answered; told the time, it reads no clock."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from windvane.metamodel.config import TradingConfig


class _Mark(NamedTuple):
    """What was known when features were first seen."""

    stop: int  # rows below were there
    since: int  # ns
    end: int  # of the proposals partition


class RoundTimer:
    """Gives rounds that are open for too long, or too far behind.

    Neither counts before the proposals partition has been read to the end that was seen after the features: what was
    answered while the stage itself was away is no reason to put anybody to sleep.
    """

    def __init__(self) -> None:
        self._marks: dict[str, deque[_Mark]] = {}

    def due(
        self,
        waiting: Mapping[str, tuple[int, int]],
        configs: Mapping[str, TradingConfig],
        now: int,
        end: int,
        read: int,
    ) -> dict[str, int]:
        """For every book with rounds to be closed the row below which they are.

        waiting: what the stage's `waiting` says; configs: of these books; now: ns, of a clock that does not go back;
        end: offset after the last record of the proposals partition, looked up after `waiting`; read: offset of the
        next record to be read of it.
        """
        self._marks = {book: marks for book, marks in self._marks.items() if book in waiting}
        found: dict[str, int] = {}
        for book, (start, stop) in waiting.items():
            marks, config = self._marks.setdefault(book, deque()), configs[book]
            while marks and marks[0].stop <= start:
                marks.popleft()
            if not marks or marks[-1].stop < stop:
                marks.append(_Mark(stop, now, end))
            upto = start
            for mark in marks:
                if mark.end <= read:
                    late = now - mark.since >= config.round_timeout
                    upto = max(upto, mark.stop if late else mark.stop - config.quorum_lag)
            if upto > start:
                found[book] = upto
        return found
