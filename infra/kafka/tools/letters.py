"""The dead letters on the topic: what was rejected, when, and why."""

from typing import NamedTuple

from aiokafka import TopicPartition

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import DeadLetter
from windvane.streams.topics import DEAD_LETTERS

_WINDOW = 10_000
"""Offsets of a partition that are looked at, from its end backwards."""


class Written(NamedTuple):
    """A dead letter, and when the broker received it."""

    at: float  # UNIX s
    letter: DeadLetter
    raw: bytes


async def dead_letters(settings: KafkaSettings, book: str | None, last: int) -> list[Written]:
    """Return the newest `last` dead letters, oldest first.

    book: only those of this book, and those of records that cannot be read, since these may be of any.
    """
    partitions = await layout.check(settings)
    places = [TopicPartition(settings.topic(DEAD_LETTERS), partition) for partition in range(partitions)]
    found: list[Written] = []
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, places)
        reader.assign(places)
        for place in places:
            reader.seek(place, max(first[place], ends[place] - _WINDOW))
        while any([await reader.position(place) < ends[place] for place in places]):
            for records in (await reader.getmany(timeout_ms=500)).values():
                found += [one for r in records if (one := _written(r.timestamp / 1e3, r.value or b""))]
    kept = [one for one in found if book is None or one.letter.book in (book, "")]
    return sorted(kept, key=lambda one: one.at)[-last:]


def _written(at: float, raw: bytes) -> Written | None:
    try:
        event = from_json(raw)
    except WireError:
        return None
    return Written(at, event, raw) if isinstance(event, DeadLetter) else None
