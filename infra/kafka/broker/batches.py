"""Records as the batches that a broker takes, a topic each."""

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from windvane.streams.topics import Topic
from windvane.streams.worker import Record


def by_topic(records: Sequence[Record]) -> dict[Topic, list[Record]]:
    """Records by the topic that they go to, in order."""
    found: dict[Topic, list[Record]] = {}
    for record in records:
        found.setdefault(record.topic, []).append(record)
    return found


def batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[tuple[Any, int]]:
    """Records of one topic as batches for the broker, and how many are in each."""
    batch, count = producer.create_batch(), 0
    for record in records:
        key = record.book.encode()
        if batch.append(key=key, value=record.raw, timestamp=None) is None:
            yield batch, count
            batch, count = producer.create_batch(), 0
            if batch.append(key=key, value=record.raw, timestamp=None) is None:
                raise RuntimeError(f"a record of {record.topic.name} is too large: {len(record.raw)} bytes")
        count += 1
    yield batch, count
