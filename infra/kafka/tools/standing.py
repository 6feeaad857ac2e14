"""Where a book stands, from the last records of its topics: a person who orders something must not wait for long."""

from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.broker.tails import read_tails, spans
from windvane.infra.kafka.tools.books import known_books
from windvane.streams.topics import DECISIONS, STATEMENTS, TICKS


class UnknownBookError(SettingsError):
    """No topic knows a book of that name."""


class Standing(NamedTuple):
    """What a book has decided; 0 of both where the newest decisions of its partition do not say."""

    rows: int = 0  # decided
    control: int = 0  # number of the last control applied


class Decided(msgspec.Struct):
    """The columns of a record of decisions that tell of controls."""

    seq: list[int]
    controls: list[int]


def decided(raw: bytes) -> Decided | None:
    """What a record of decisions says of controls, None of anything else."""
    try:
        found = msgspec.json.decode(raw, type=Decided)
    except msgspec.DecodeError:
        return None
    return found if found.seq and len(found.seq) == len(found.controls) else None


async def standing(settings: KafkaSettings, partitions: int, reader: AIOKafkaConsumer, book: str) -> Standing:
    """Where a book stands; raises UnknownBookError where no topic knows it."""
    partition = partition_of(book, partitions)
    places = [TopicPartition(settings.topic(t), partition) for t in (DECISIONS, TICKS, STATEMENTS)]
    tails = await read_tails(reader, await spans(reader, places), [settings.topic(DECISIONS)])
    for tail in reversed(tails.get(settings.topic(DECISIONS), {}).get(book, [])):
        found = decided(tail.raw)
        if found is not None:
            return Standing(found.seq[-1] + 1, found.controls[-1])
    if any(book in books for books in tails.values()):
        return Standing()
    known = await known_books(settings, partitions)  # all that is kept: the book may have been quiet for long
    if book not in known:
        names = ", ".join(sorted({*known, *(name for books in tails.values() for name in books if name)}))
        raise UnknownBookError(
            f"prefix {settings.prefix} has no book {book}, so nothing is sent: there are {names or 'none yet'}"
        )
    return Standing()
