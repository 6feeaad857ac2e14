"""A stage that joins two sources is woken by the second of them: of a row's features alone it can decide nothing.

A fetch is answered as soon as enough bytes have come. Where rows come one a record, enough is a little more than the
features of one row: then they wait at the broker, and come with the proposals of that row in one answer. That is a
fetch and a turn less for every row, and no row waits for it, since the proposals end the wait.
"""

import time
from collections.abc import Callable, Iterable, Sequence

from windvane.streams.many_rows import Delivered
from windvane.streams.topics import FEATURES, PROPOSALS, Topic

_LOOK_SECONDS = 2.0
_AROUND = 160
"""More bytes than a batch adds to its one record, and fewer than with the proposals of a row."""

_MOST_BYTES = 4096
"""Larger records hold many rows, whose number differs from one to the next."""


class Pairing:
    """Says how many bytes a fetch is to wait for, from what has come in the last seconds.

    sources: topics that the stage reads; one that does not join features and proposals waits for nothing. clock:
    returns seconds, never fewer than before.
    """

    def __init__(self, sources: Iterable[Topic], clock: Callable[[], float] = time.monotonic) -> None:
        self._joins = {FEATURES, PROPOSALS} <= set(sources)
        self._clock = clock
        self._since = clock()
        self._smallest = [
            0,
            0,
        ]  # bytes of the smallest record of features, in these seconds and those before; 0: none
        self._answered = [False, False]  # whether proposals came, in the same
        self._open: set[str] = set()  # books whose next row has come in part

    def received(self, topic: Topic, records: Sequence[Delivered]) -> None:
        """Take note of records that were read, at least one."""
        if topic is FEATURES:
            smallest = min(len(record.value or b"") for record in records)
            self._smallest[0] = min(smallest, self._smallest[0] or smallest)
        elif topic is PROPOSALS:
            self._answered[0] = True

    def least_bytes(self, stepped: Iterable[str], waits_for: Callable[[str], tuple[str, ...]]) -> int:
        """Bytes that the next fetch is to wait for, 1 where it is not to wait. Called once in every turn.

        stepped: books of which the turn had records; waits_for: of the stage's logic.
        """
        if not self._joins:
            return 1
        for book in stepped:
            if waits_for(book)[:1] in ((), (FEATURES.name,)):
                self._open.discard(book)
            else:
                self._open.add(book)
        now = self._clock()
        if now - self._since >= _LOOK_SECONDS:
            self._since = now
            self._smallest = [0, self._smallest[0]]
            self._answered = [False, self._answered[0]]
        sizes = [size for size in self._smallest if size]
        if self._open or not sizes or not any(self._answered):
            return 1
        smallest = min(sizes)
        return smallest + _AROUND if smallest <= _MOST_BYTES else 1
