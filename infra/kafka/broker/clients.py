"""Clients of the broker, each set up for what it is for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer import sender

from windvane.infra.kafka.broker.settings import KafkaSettings

MOST_BYTES = 1_000_000
_TRANSACTION_MS = 30_000
_STOP_SECONDS = 3.0

sender.BACKOFF_OVERRIDE = 0.002
"""aiokafka waits so long between two transactions; its 20 ms would be most of an order's latency."""


def new_reader(settings: KafkaSettings, *, patient: bool = False) -> AIOKafkaConsumer:
    """A reader of committed records without a group, that says so where an offset is gone. Not started.

    patient: for who is in no hurry. Small records are left to gather for 50 ms: a fetch costs more than their rows.
    """
    wait = {"fetch_min_bytes": 16_384, "fetch_max_wait_ms": 50} if patient else {"fetch_max_wait_ms": 250}
    return AIOKafkaConsumer(
        **settings.client(),
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * MOST_BYTES,
        **wait,
    )


@asynccontextmanager
async def reading(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A started reader."""
    reader = new_reader(settings)
    await reader.start()
    try:
        yield reader
    finally:
        await close(reader)


async def close(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a client.

    A consumer of aiokafka 0.14 that has just been assigned something else loses the request to stop (its fetcher
    swallows the cancellation while it waits for its own tasks), so it is asked again.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.stop(), _STOP_SECONDS)


def new_producer(
    settings: KafkaSettings, transactional_id: str | None = None, *, most_bytes: int = MOST_BYTES
) -> AIOKafkaProducer:
    """A writer that neither loses nor doubles what it sends; with an id it writes transactions. Not started.

    most_bytes: of its largest record.
    """
    return AIOKafkaProducer(
        **settings.client(),
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=most_bytes,
        max_batch_size=most_bytes,
        transactional_id=transactional_id,
        transaction_timeout_ms=_TRANSACTION_MS,
    )


async def ends_of(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition]
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """First and next offset of committed records."""
    return await reader.beginning_offsets(places), await reader.end_offsets(places)
