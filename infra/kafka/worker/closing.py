"""The clock of timed books: tells the round timer the time, and where the proposals end."""

import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.clients import ends_of
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
        self._shortest = 0.0

    def seconds_left(self, most: float) -> float:
        """How long to wait for records at most."""
        return min(most, self._shortest) if self._shortest else most

    async def close_due(self, read: int) -> None:
        """Close what is due; read: offset of the next proposals to be read."""
        rounds = self._worker.open_rounds()
        if not rounds and not self._shortest:
            return
        self._shortest = min((r.config.round_timeout / 4e9 for r in rounds.values()), default=0.0)
        if self._timer.watch(rounds, time.monotonic_ns()):
            self._timer.ends_at(await self._end())
        for book, stop in self._timer.due(read).items():
            self._worker.close_rounds(book, stop)

    async def _end(self) -> int:
        """Where the proposals end; 0 where nothing is left of them to be read."""
        first, ends = await ends_of(self._reader, [self._proposals])
        return ends[self._proposals] if ends[self._proposals] > first[self._proposals] else 0
