"""The clock of timed books: when to close a round without those who have not answered.

What is late is closed only once the proposals have been read to the end that was seen after that, so that neither a
restart nor a slow reader puts anybody to sleep.
"""

import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.streams.round_timer import RoundTimer
from windvane.streams.worker import StageWorker


class Closer:
    """Watches the open rounds of one partition; proposals: where they lie, None for stages that join nothing."""

    def __init__(
        self, worker: StageWorker, reader: AIOKafkaConsumer, proposals: TopicPartition | None
    ) -> None:
        self._worker = worker
        self._reader = reader
        self._proposals = proposals
        self._timer = RoundTimer()
        self._pending: dict[
            str, tuple[int, int]
        ] = {}  # close below `stop` once proposals are read up to `end`
        self._shortest = 0.0

    def seconds_left(self, most: float) -> float:
        """How long to wait for records at most."""
        return min(most, self._shortest) if self._shortest else most

    async def close_due(self, read_upto: int) -> None:
        """Close what is late; read_upto: offset up to which proposals have been read."""
        logic = self._worker.logic
        waiting = logic.waiting() if self._proposals is not None else {}
        if not waiting and not self._shortest:
            return
        configs = {book: logic.opened_as(book).config for book in waiting}
        self._shortest = min((c.round_timeout / 4e9 for c in configs.values()), default=0.0)
        late = self._timer.due(waiting, configs, time.monotonic_ns(), end=0, read=0)
        self._pending = {book: found for book, found in self._pending.items() if book in waiting}
        for book, stop in late.items():
            if stop > self._pending.get(book, (0, 0))[0]:
                end = (await self._reader.end_offsets([self._proposals]))[self._proposals]
                self._pending[book] = (stop, end)
        for book, (stop, end) in list(self._pending.items()):
            if read_upto >= end:
                logic.close(book, stop)
                del self._pending[book]
