"""The times of rows on topics: when a reader received them, and when the broker appended them."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.topics import Topic

Times = np.ndarray
"""An array (books, rows) of times as float64, UNIX ns, NaN for a row that was not there."""


class _Rows(msgspec.Struct):
    """The part of a record that is read: the numbers of its rows."""

    seq: list[int] | int = -1


_decoder = msgspec.json.Decoder(_Rows)


def rows_in(raw: bytes) -> tuple[int, int]:
    """Return the numbers of the first and last row of a record; (0, -1) for one without rows."""
    seq = _decoder.decode(raw).seq
    if isinstance(seq, int):
        return (0, -1) if seq < 0 else (seq, seq)
    return seq[0], seq[-1]


def places_of(
    settings: KafkaSettings, topics: Sequence[Topic], books: Sequence[str], partitions: int
) -> dict[TopicPartition, str]:
    """Return the partitions on which the books lie, with the topic's name without prefix."""
    return {
        TopicPartition(settings.topic(topic), partition_of(book, partitions)): topic.name
        for topic in topics
        for book in books
    }


def blank(names: Sequence[str], books: Sequence[str], rows: int) -> dict[str, Times]:
    """Return Times without any time, for every name."""
    return {name: np.full((len(books), rows), np.nan) for name in names}


class Watch:
    """Follows committed records from now on, and notes when each row was received."""

    def __init__(self, reader: AIOKafkaConsumer, places: Mapping[TopicPartition, str]) -> None:
        self._reader = reader
        self._places = places

    async def begin(self) -> None:
        """Go to the present end of all partitions; call it before anything is sent."""
        _, ends = await ends_of(self._reader, tuple(self._places))
        self._reader.assign(tuple(self._places))
        for place, end in ends.items():
            self._reader.seek(place, end)

    async def follow(
        self, books: Sequence[str], times_of: Mapping[str, Times], until: Callable[[], bool], quiet: float
    ) -> None:
        """Note the time at which each row is received in `times_of`, by topic, until `until` returns true.

        Returns `quiet` seconds after the last record at the latest.
        """
        keys = {book.encode(): k for k, book in enumerate(books)}
        last = time.monotonic()
        while not until() and time.monotonic() - last < quiet:
            for place, records in (await self._reader.getmany(timeout_ms=200)).items():
                now, times = time.time_ns(), times_of[self._places[place]]
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
    times_of: Mapping[str, Times],
) -> None:
    """Note in `times_of`, by topic, when the broker first appended each row, to the ms."""
    keys = {book.encode(): k for k, book in enumerate(books)}
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, tuple(places))
        reader.assign(tuple(places))
        for place, offset in first.items():
            reader.seek(place, offset)
        while any([await reader.position(place) < ends[place] for place in places]):
            for place, records in (await reader.getmany(timeout_ms=500)).items():
                times = times_of[places[place]]
                for record in records:
                    book = keys.get(record.key)
                    if book is None:
                        continue
                    low, high = rows_in(record.value)
                    part = times[book, low : high + 1]
                    part[np.isnan(part)] = record.timestamp * 1e6
