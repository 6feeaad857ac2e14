"""The clock of timed books: it tells the round timer the time, and where the proposals end."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.clients import ends_of
from windvane.streams.round_timer import RoundTimer
from windvane.streams.worker import StageWorker

_MOMENT_SECONDS = 0.005


class _LookUp(NamedTuple):
    """A question to the broker where the proposals end."""

    answer: asyncio.Task[int]
    asked: Mapping[str, int]  # the rounds that were late when it was asked, by book the seq below which they are


class Closer:
    """Watches the open rounds of the timed books of one partition, and closes those that wait for too long.

    The broker answers a question behind a fetch that waits for records, so no turn waits for an answer, and one answer
    is for all books that were late when it was asked for: else many late books would hold each other up for ever.

    proposals: the partition that the agents' answers lie on, None for a stage that joins nothing. clock: returns ns,
    never fewer than before.
    """

    def __init__(
        self,
        worker: StageWorker,
        reader: AIOKafkaConsumer,
        proposals: TopicPartition | None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._worker = worker
        self._reader = reader
        self._proposals = proposals
        self._clock = clock
        self._timer = RoundTimer()
        self._look_up: _LookUp | None = None
        self._shortest = 0.0  # seconds between two looks at the rounds that are open, 0 while none is

    def seconds_left(self, most: float) -> float:
        """How long the partition may wait for records, at most `most` seconds, so that no round is closed late."""
        return min(most, self._shortest) if self._shortest else most

    async def close_due(self, read: int) -> None:
        """Close the rounds that are due; called once in every turn of the partition's loop, before its step.

        read: offset of the next record to be read of the proposals. Raises KafkaError where their end cannot be looked
        up.
        """
        rounds = self._worker.open_rounds() if self._proposals is not None else {}
        if not rounds and not self._shortest:
            return
        self._shortest = min((r.config.round_timeout / 4e9 for r in rounds.values()), default=0.0)
        late = self._timer.watch(rounds, self._clock())
        if late and self._look_up is None:
            self._look_up = _LookUp(asyncio.create_task(self._end()), self._timer.asking())
            await asyncio.wait([self._look_up.answer], timeout=_MOMENT_SECONDS)
        if self._look_up is not None and self._look_up.answer.done():
            (answer, asked), self._look_up = self._look_up, None
            self._timer.ends_at(answer.result(), asked)
        for book, stop in self._timer.due(read).items():
            self._worker.close_rounds(book, stop)

    async def stop(self) -> None:
        """Give up a question that is not answered; called once, before the reader is closed."""
        if self._look_up is not None:
            self._look_up.answer.cancel()
            await asyncio.wait([self._look_up.answer])

    async def _end(self) -> int:
        """The offset after the last record of the proposals; 0 where none is left, so that nobody waits for them."""
        first, ends = await ends_of(self._reader, [self._proposals])
        return ends[self._proposals] if ends[self._proposals] > first[self._proposals] else 0
