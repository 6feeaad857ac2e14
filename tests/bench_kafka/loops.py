"""Loops that only read and write, to compare with: aiokafka, without and with transactions, and Quix Streams."""

import asyncio
import signal
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from windvane.infra.kafka.broker.clients import new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings

_COMMIT_SECONDS = 5.0
_MOST_RECORDS = 500

QUIX = """
import sys
from quixstreams import Application

bootstrap, source, target, size = sys.argv[1:4] + [int(sys.argv[4])]
payload = bytes(size)
app = Application(broker_address=bootstrap, consumer_group=target, auto_offset_reset="earliest", loglevel="WARNING")
read = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
write = app.topic(target, value_serializer="bytes", key_serializer="bytes")
app.dataframe(read).apply(lambda value: payload or value).to_topic(write)
app.run()
"""
"""A program for an interpreter that has quixstreams; size 0 writes the bytes that were read."""


async def loop(bootstrap: str, source: str, target: str, size: int, identity: str | None) -> None:
    """Read records from `source` and write as many of `size` bytes (0: the same bytes) to `target`, until SIGTERM.

    identity: a transactional id, by which all records of one read are written in one transaction; None writes without.
    """
    settings = KafkaSettings(bootstrap=bootstrap)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    reader = AIOKafkaConsumer(
        source,
        **settings.client(),
        group_id=target,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=8_000_000,
    )
    producer = new_producer(settings, identity)
    payload = bytes(size)
    await producer.start()
    await reader.start()
    committed = time.monotonic()
    try:
        while not stopping.is_set():
            for records in (await reader.getmany(timeout_ms=250, max_records=_MOST_RECORDS)).values():
                if identity is not None:
                    await producer.begin_transaction()
                await _write(producer, target, records, payload)
                if identity is not None:
                    await producer.commit_transaction()
            if time.monotonic() - committed > _COMMIT_SECONDS:
                await reader.commit()
                committed = time.monotonic()
    finally:
        await reader.stop()
        await producer.stop()


async def _write(
    producer: AIOKafkaProducer, target: str, records: list[ConsumerRecord], payload: bytes
) -> None:
    """Write records in as few batches as possible, and return when the broker has acknowledged them."""
    waiting = []
    batch = producer.create_batch()
    place = records[0].partition
    for record in records:
        value = payload or record.value
        if batch.append(key=record.key, value=value, timestamp=None) is None:
            waiting.append(await producer.send_batch(batch, target, partition=place))
            batch = producer.create_batch()
            batch.append(key=record.key, value=value, timestamp=None)
    waiting.append(await producer.send_batch(batch, target, partition=place))
    await asyncio.gather(*waiting)
