"""When rows were on the topics: what a reader saw, and what the broker wrote on them."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.topics import Topic

Times = np.ndarray
"""(books, rows) float64, UNIX ns, NaN where there is none."""


class _Rows(msgspec.Struct):
    seq: list[int] | int = -1


_decoder = msgspec.json.Decoder(_Rows)


def rows_in(raw: bytes) -> tuple[int, int]:
    """First and last row of a record, (0, -1) of one without rows."""
    seq = _decoder.decode(raw).seq
    if isinstance(seq, int):
        return (0, -1) if seq < 0 else (seq, seq)
    return seq[0], seq[-1]


def places_of(
    settings: KafkaSettings, topics: Sequence[Topic], books: Sequence[str], partitions: int
) -> dict[TopicPartition, str]:
    """Where the books lie, and the topic's short name."""
    return {
        TopicPartition(settings.topic(topic), partition_of(book, partitions)): topic.name
        for topic in topics
        for book in books
    }


def blank(names: Sequence[str], books: Sequence[str], rows: int) -> dict[str, Times]:
    return {name: np.full((len(books), rows), np.nan) for name in names}


class Watch:
    """Committed records as they come, from now on; `until` says when it is enough."""

    def __init__(self, reader: AIOKafkaConsumer, places: Mapping[TopicPartition, str]) -> None:
        self._reader = reader
        self._places = places

    async def begin(self) -> None:
        _, ends = await ends_of(self._reader, tuple(self._places))
        self._reader.assign(tuple(self._places))
        for place, end in ends.items():
            self._reader.seek(place, end)

    async def follow(
        self, books: Sequence[str], found: Mapping[str, Times], until: Callable[[], bool], quiet: float
    ) -> None:
        """Write down the moment each row was given; ends `quiet` seconds after the last record at the latest."""
        keys = {book.encode(): k for k, book in enumerate(books)}
        last = time.monotonic()
        while not until() and time.monotonic() - last < quiet:
            for place, records in (await self._reader.getmany(timeout_ms=200)).items():
                now, times = time.time_ns(), found[self._places[place]]
                for record in records:
                    book = keys.get(record.key)
                    if book is not None:
                        first, stop = rows_in(record.value)
                        times[book, first : stop + 1] = now
                last = time.monotonic()


async def appended(
    settings: KafkaSettings,
    places: Mapping[TopicPartition, str],
    books: Sequence[str],
    found: Mapping[str, Times],
) -> None:
    """The moments at which the broker appended each row first, in whole ms."""
    keys = {book.encode(): k for k, book in enumerate(books)}
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, tuple(places))
        reader.assign(tuple(places))
        for place, offset in first.items():
            reader.seek(place, offset)
        while any([await reader.position(place) < ends[place] for place in places]):
            for place, records in (await reader.getmany(timeout_ms=500)).items():
                times = found[places[place]]
                for record in records:
                    book = keys.get(record.key)
                    if book is None:
                        continue
                    low, high = rows_in(record.value)
                    part = times[book, low : high + 1]
                    part[np.isnan(part)] = record.timestamp * 1e6
