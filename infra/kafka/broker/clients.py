"""Clients of the broker, with the settings that their purpose needs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.producer import sender

from windvane.infra.kafka.broker.settings import KafkaSettings

MOST_BYTES = 1_000_000
_TRANSACTION_MS = 30_000
_STOP_SECONDS = 3.0

sender.BACKOFF_OVERRIDE = 0.002
"""Seconds that aiokafka waits between two transactions; its own 20 ms would be most of an order's latency."""


class Fetching(NamedTuple):
    """When the broker answers a fetch: as soon as it has so many bytes, or after so many ms."""

    least_bytes: int
    wait_ms: int

    @staticmethod
    def usual(*, patient: bool) -> "Fetching":
        """At once when there is a record; patient: small records gather, since a fetch costs more than their rows.

        Sixteen KiB are the features and proposals of about a dozen rows, fewer than the least usual lag from the row
        that trains a learner version to the first that waits for it.
        """
        return Fetching(16_384, 250) if patient else Fetching(1, 250)


def let_gather(reader: AIOKafkaConsumer, fetching: Fetching) -> None:
    """Let the next fetches of a started reader wait in another way; aiokafka has no public way to say so."""
    fetcher = reader._fetcher
    fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = fetching


def new_reader(settings: KafkaSettings, *, patient: bool = False) -> AIOKafkaConsumer:
    """A reader, not started, of committed records, without a group; it raises an error where an offset is gone.

    patient: for a stage that no row waits for.
    """
    usual = Fetching.usual(patient=patient)
    return AIOKafkaConsumer(
        **settings.client(),
        isolation_level="read_committed",
        auto_offset_reset="none",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * MOST_BYTES,
        fetch_min_bytes=usual.least_bytes,
        fetch_max_wait_ms=usual.wait_ms,
    )


@asynccontextmanager
async def reading(settings: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader that is started, and closed at the end of the block, or where it is cancelled while it starts."""
    reader = new_reader(settings)
    try:
        await connect(reader)
        yield reader
    finally:
        await close(reader)


async def connect(client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient) -> None:
    """Start a client; a start that is cancelled is let finish, since nobody could close its first socket otherwise."""
    starting = asyncio.ensure_future(client.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        done, _ = await asyncio.wait([starting], timeout=_STOP_SECONDS)
        for ended in done:
            ended.exception()  # nobody waits for what became of it
        raise


async def close(client: AIOKafkaConsumer | AIOKafkaProducer) -> None:
    """Stop a client, and wait until it has stopped.

    A consumer of aiokafka 0.14 that has just been assigned other partitions loses the request to stop (its fetcher
    swallows the cancellation while it waits for its own tasks), so it is asked again.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.stop(), _STOP_SECONDS)
    sockets = client.client if isinstance(client, AIOKafkaProducer) else client._client
    await sockets.close()  # to stop may have been given up before it came to them


def new_producer(
    settings: KafkaSettings, transactional_id: str | None = None, *, most_bytes: int = MOST_BYTES
) -> AIOKafkaProducer:
    """A writer, not started, that neither loses nor doubles what it sends; with an id it writes in transactions.

    most_bytes: size of its largest record.
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
    """By place the first offset that the log holds, and the one after its last committed record."""
    first, ends = await asyncio.gather(reader.beginning_offsets(places), reader.end_offsets(places))
    return first, ends
