"""Retraining on a broker: the updates and orders of the backtest, also where a worker ends while one is trained."""

import asyncio
from concurrent.futures import Future
from pathlib import Path

import numpy as np
from running import PARTITIONS, inside, put, records

from retrained_book import EVERY, LAG, FakeTrainer, Now, events
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.codec import from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    Decisions,
    Event,
    LearnerUpdate,
    Orders,
    Statements,
    Ticks,
    TrainRequest,
    TrainResult,
    cut,
)
from windvane.streams.records import order_lines
from windvane.streams.topics import DECISIONS, LEARNER, ORDERS, STATEMENTS, TICKS

ROWS = 1_000


class Stuck(FakeTrainer):
    """Never comes to an end with version 8."""

    def __call__(self, request: TrainRequest) -> Now | Future[TrainResult]:  # type: ignore[override]
        return super().__call__(request) if request.version < 8 else Future()


async def decided(settings: KafkaSettings, book: str) -> int:
    found = [from_json(raw) for raw in await records(settings, DECISIONS, partition_of(book, PARTITIONS))]
    seqs = [e.seq for e in found if isinstance(e, Decisions)]
    every = np.concatenate(seqs) if seqs else np.zeros(0, np.int64)
    assert np.array_equal(every, np.arange(len(every)))
    return len(every)


def test_a_worker_that_ends_while_one_is_trained_loses_and_doubles_nothing(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), trainer=FakeTrainer())
    runner.feed(events(ROWS))
    start, ticks, end = events(ROWS)
    assert isinstance(ticks, Ticks)
    sent = [start, *(cut(ticks, at, at + 50) for at in range(0, ROWS, 50)), end]
    barrier = 8 * EVERY - 1 + LAG

    async def run() -> None:
        await put(topics, TICKS, [to_json(event) for event in sent], "book")
        async with inside(topics, tmp_path, trainer=Stuck()) as first:

            async def waits() -> bool:
                return await decided(topics, "book") == barrier

            await first.until("the barrier", waits, every=0.5)
        assert await decided(topics, "book") == barrier
        async with inside(topics, tmp_path, trainer=FakeTrainer()) as second:

            async def closed() -> bool:
                found = await records(topics, STATEMENTS, partition_of("book", PARTITIONS))
                last = from_json(found[-1]) if found else None
                return isinstance(last, Statements) and last.last == ROWS - 1

            await second.until("the end", closed, every=0.5)
        assert first.restarts() == second.restarts() == 0
        learned = [from_json(raw) for raw in await records(topics, LEARNER)]
        assert learned == [e for e in seen if isinstance(e, LearnerUpdate)]
        orders = [e for e in seen if isinstance(e, Orders)]
        lines = [line for e in orders for _, line in order_lines(e, "BTCUSD")]
        assert await records(topics, ORDERS, partition_of("book", PARTITIONS)) == lines
        assert lines

    asyncio.run(run())
