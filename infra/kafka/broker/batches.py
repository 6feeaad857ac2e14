"""Records packed into batches, the unit in which a broker takes records of one topic."""

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from windvane.streams.topics import Topic
from windvane.streams.worker import Record


def by_topic(records: Sequence[Record]) -> dict[Topic, list[Record]]:
    """Records by the topic that they go to, each topic's in order."""
    grouped: dict[Topic, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.topic, []).append(record)
    return grouped


def batches(producer: AIOKafkaProducer, records: Sequence[Record]) -> Iterator[tuple[Any, int]]:
    """Records of one topic, at least one, as batches in order, and how many records are in each."""
    batch, count = producer.create_batch(), 0
    for record in records:
        key = record.book.encode()
        if batch.append(key=key, value=record.raw, timestamp=None) is None:  # the batch is full
            yield batch, count
            batch, count = producer.create_batch(), 0
            batch.append(
                key=key, value=record.raw, timestamp=None
            )  # an empty batch takes a record of any size
        count += 1
    yield batch, count
