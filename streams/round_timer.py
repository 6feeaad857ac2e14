"""When the rounds of timed books are closed without the agents that have not answered. It is given the time."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from windvane.streams.stage import OpenRounds


class _Mark(NamedTuple):
    """When features were first seen."""

    stop: int  # seq after the last row that was there
    since: int  # ns


class _Late(NamedTuple):
    """Rounds that are closed once the proposals have been read up to `end`."""

    stop: int  # seq after the last of them
    end: int | None = None  # an offset; None where it is not looked up yet


class RoundTimer:
    """Says which rounds were open for too long, or are too far behind. Its runner calls it before each step.

    Rounds are late `round_timeout` after their features were seen, or once features `quorum_lag` rows further came.
    They are due only once the proposals have been read to an end that was looked up after the rounds were late: that
    answers came while the stage itself was away, or read slowly, is no reason to put their agents to sleep.
    """

    def __init__(self) -> None:
        self._marks: dict[str, deque[_Mark]] = {}
        self._late: dict[str, _Late] = {}

    def watch(self, rounds: Mapping[str, OpenRounds], now: int) -> bool:
        """Take note of open rounds; returns whether the runner must look up the end of the proposals, for `ends_at`.

        rounds: those of the worker, by book; now: ns, of a clock that does not go back.
        """
        self._marks = {book: marks for book, marks in self._marks.items() if book in rounds}
        self._late = {
            book: late
            for book, late in self._late.items()
            if book in rounds and late.stop > rounds[book].start
        }
        for book, (start, stop, config) in rounds.items():
            marks = self._marks.setdefault(book, deque())
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

    def asking(self) -> dict[str, int]:
        """For every book whose late rounds need an end of the proposals the seq below which they are.

        Called by a runner that begins to look the end up, which may take a while: the end that it finds is theirs only.
        """
        return {book: late.stop for book, late in self._late.items() if late.end is None}

    def ends_at(self, end: int, asked: Mapping[str, int] | None = None) -> None:
        """The offset after the last record of the proposals partition, looked up after `watch` asked for it.

        asked: what `asking` returned when the look-up began, None where it took no time.
        """
        for book, stop in (self.asking() if asked is None else asked).items():
            late = self._late.get(book)
            if late is not None and late.end is None and late.stop == stop:
                self._late[book] = late._replace(end=end)

    def due(self, read: int) -> dict[str, int]:
        """For every book with rounds to be closed now the seq below which they are, once each.

        read: offset of the next record to be read of the proposals partition.
        """
        due = {
            book: late.stop for book, late in self._late.items() if late.end is not None and late.end <= read
        }
        for book in due:
            del self._late[book]
        return due
