"""Records packed into batches, the unit in which a broker takes records of one topic."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from windvane.streams.topics import Topic
from windvane.streams.worker import Record

Headers = Callable[[bytes], list[tuple[str, bytes]]]


def unsigned(raw: bytes) -> list[tuple[str, bytes]]:
    """No headers."""
    return []


def by_topic(records: Sequence[Record]) -> dict[Topic, list[Record]]:
    """Records by the topic that they go to, each topic's in order."""
    grouped: dict[Topic, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.topic, []).append(record)
    return grouped


def batches(
    producer: AIOKafkaProducer, records: Sequence[Record], headers: Headers = unsigned
) -> Iterator[tuple[Any, int]]:
    """Records of one topic, at least one, as batches in order, and how many records are in each.

    headers: of a record, from its bytes.
    """
    batch, count = producer.create_batch(), 0
    for record in records:
        whole = {"key": record.book.encode(), "value": record.raw, "headers": headers(record.raw)}
        if batch.append(timestamp=None, **whole) is None:  # the batch is full
            yield batch, count
            batch, count = producer.create_batch(), 0
            batch.append(timestamp=None, **whole)  # an empty batch takes a record of any size
        count += 1
    yield batch, count
