"""The clock of timed books: when to close a round without those who have not answered.

A round is late `round_timeout` after its features came in, or when `quorum_lag` more rows are in. It is closed only
once the proposals have been read to the end that was seen after that, so that a restart puts nobody to sleep.
"""

import time
from collections import deque

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.streams.worker import StageWorker


class Closer:
    """Watches the open rounds of one partition."""

    def __init__(
        self, worker: StageWorker, reader: AIOKafkaConsumer, proposals: TopicPartition | None
    ) -> None:
        self._worker = worker
        self._reader = reader
        self._proposals = proposals
        self._seen: dict[str, deque[tuple[int, float]]] = {}  # rows below `stop` were there at this time
        self._pending: dict[
            str, tuple[int, int]
        ] = {}  # close below `stop` once proposals are read up to `end`

    def seconds_left(self, most: float) -> float:
        """How long to wait for records at most."""
        if not self._seen:
            return most
        now, logic = time.monotonic(), self._worker.logic
        left = most
        for book, seen in self._seen.items():
            if seen:
                left = min(left, seen[0][1] + logic.opened_as(book).config.round_timeout / 1e9 - now)
        return max(left, 0.001)

    async def close_due(self, read_upto: int) -> None:
        """Close what is late; read_upto: offset up to which proposals have been read."""
        waiting = self._worker.logic.waiting()
        for book in self._seen.keys() - waiting.keys():
            del self._seen[book]
            self._pending.pop(book, None)
        for book, (start, stop) in waiting.items():
            late = self._late(book, start, stop)
            if late > start and late > self._pending.get(book, (start, 0))[0] and self._proposals is not None:
                end = (await self._reader.end_offsets([self._proposals]))[self._proposals]
                self._pending[book] = (late, end)
        for book, (stop, end) in list(self._pending.items()):
            if read_upto >= end:
                self._worker.logic.close(book, stop)
                del self._pending[book]

    def _late(self, book: str, start: int, stop: int) -> int:
        """Rounds below this row are late."""
        config, now = self._worker.logic.opened_as(book).config, time.monotonic()
        seen = self._seen.setdefault(book, deque())
        while seen and seen[0][0] <= start:
            seen.popleft()
        if not seen or seen[-1][0] < stop:
            seen.append((stop, now))
        late = stop - config.quorum_lag
        for upto, since in seen:
            if now - since >= config.round_timeout / 1e9:
                late = max(late, upto)
        return late
