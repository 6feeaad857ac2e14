"""When the rounds of timed books are closed without those who have not answered; told the time, it reads no clock."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from windvane.metamodel.base.config import TradingConfig


class _Mark(NamedTuple):
    """What was known when features were first seen."""

    stop: int  # rows below were there
    since: int  # ns


class _Late(NamedTuple):
    """Rounds that are closed once the proposals have been read up to `end`."""

    stop: int  # rounds below
    end: int | None = None  # None: not looked up yet


class RoundTimer:
    """Gives rounds that are open for too long, or too far behind.

    They are late `round_timeout` after their features were seen, or once features `quorum_lag` rows further are there.
    What is late is due only once the proposals have been read to an end that was looked up after it was late: what had
    been answered while the stage itself was away, or read slowly, is no reason to put anybody to sleep.
    """

    def __init__(self) -> None:
        self._marks: dict[str, deque[_Mark]] = {}
        self._late: dict[str, _Late] = {}

    def watch(
        self, waiting: Mapping[str, tuple[int, int]], configs: Mapping[str, TradingConfig], now: int
    ) -> bool:
        """Take note of open rounds; gives whether the end of the proposals is to be looked up, for `ends_at`.

        waiting: what the stage's `waiting` says; configs: of these books; now: ns, of a clock that does not go back.
        """
        self._marks = {book: marks for book, marks in self._marks.items() if book in waiting}
        self._late = {
            book: late
            for book, late in self._late.items()
            if book in waiting and late.stop > waiting[book][0]
        }
        for book, (start, stop) in waiting.items():
            marks, config = self._marks.setdefault(book, deque()), configs[book]
            while marks and marks[0].stop <= start:
                marks.popleft()
            if not marks or marks[-1].stop < stop:
                marks.append(_Mark(stop, now))
            upto = stop - config.quorum_lag
            for mark in marks:
                if now - mark.since >= config.round_timeout:
                    upto = max(upto, mark.stop)
            # One end at a time: where it moved on with every row, it would not be reached while proposals come.
            if upto > start and book not in self._late:
                self._late[book] = _Late(upto)
        return any(late.end is None for late in self._late.values())

    def ends_at(self, end: int) -> None:
        """The offset after the last record of the proposals partition, looked up after `watch` asked for it."""
        self._late = {
            book: late._replace(end=end) if late.end is None else late for book, late in self._late.items()
        }

    def due(self, read: int) -> dict[str, int]:
        """For every book with rounds to be closed now the row below which they are; each is given once.

        read: offset of the next record to be read of the proposals partition.
        """
        found = {
            book: late.stop for book, late in self._late.items() if late.end is not None and late.end <= read
        }
        for book in found:
            del self._late[book]
        return found
