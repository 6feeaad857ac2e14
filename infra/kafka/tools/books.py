"""What is known of books from the ticks topic: how they were opened, how far they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec
from aiokafka import TopicPartition

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import BookClosed, BookOpened, Ticks
from windvane.streams.topics import TICKS


@dataclass(slots=True)
class Known:
    """A book that was opened. rows: sent so far."""

    opened: BookOpened
    rows: int = 0
    closed: bool = False


class _Seqs(msgspec.Struct):
    seq: list[int]


async def known_books(settings: KafkaSettings, partitions: int, book: str | None = None) -> dict[str, Known]:
    """Every book on the ticks topic, or those on the partition of one."""
    chosen = range(partitions) if book is None else (partition_of(book, partitions),)
    places = [TopicPartition(settings.topic(TICKS), partition) for partition in chosen]
    found: dict[str, Known] = {}
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, places)
        reader.assign(places)
        for place in places:
            reader.seek(place, first[place])
        at = first
        while any(at[place] < ends[place] for place in places):
            for records in (await reader.getmany(timeout_ms=500)).values():
                for record in records:
                    _learn(found, record.key or b"", record.value or b"")
            at = {place: await reader.position(place) for place in places}
    return found


async def opening_of(settings: KafkaSettings, partitions: int, book: str) -> BookOpened | None:
    """How a book was opened, None where the ticks topic does not say; read no further than there."""
    place = TopicPartition(settings.topic(TICKS), partition_of(book, partitions))
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, [place])
        reader.assign([place])
        reader.seek(place, first[place])
        while await reader.position(place) < ends[place]:
            for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                found: dict[str, Known] = {}
                if record.key == book.encode() and b'"BookOpened"' in (record.value or b"")[:64]:
                    _learn(found, record.key, record.value or b"")
                if book in found:
                    return found[book].opened
    return None


def last_seq(raw: bytes) -> int:
    """Seq of the last row of a batch on the wire, -1 of anything else."""
    seqs = _seqs(raw)
    return seqs[-1] if seqs else -1


def _seqs(raw: bytes) -> list[int]:
    try:
        return msgspec.json.decode(raw, type=_Seqs).seq
    except msgspec.DecodeError:
        return []


def _continued(rows: int, seqs: Sequence[int]) -> int:
    """Rows there without a gap once a batch is there, too: one far ahead is a mistake, and no row before it is sent."""
    return max(rows, seqs[-1] + 1) if seqs and seqs[0] <= rows else rows


def _learn(found: dict[str, Known], key: bytes, raw: bytes) -> None:
    known = found.get(key.decode(errors="replace"))
    if known is not None and raw[:15].startswith(
        b'{"type":"Ticks"'
    ):  # the usual record, and the only number of use
        known.rows = _continued(known.rows, _seqs(raw))
        return
    try:
        event = from_json(raw)
    except WireError:
        return  # the workers tell of it
    if isinstance(event, BookOpened):
        found.setdefault(event.book, Known(event))
    elif event.book in found and isinstance(event, BookClosed):
        found[event.book].closed = True
    elif event.book in found and isinstance(event, Ticks):
        found[event.book].rows = _continued(found[event.book].rows, [event.first, event.last])


def unlike(there: TradingConfig, wanted: TradingConfig) -> str:
    """The settings in which two books differ, with both values."""
    told = [_flat(msgspec.to_builtins(config)) for config in (there, wanted)]
    return ", ".join(
        f"{name} is {told[0].get(name)!r} there and {value!r} here"
        for name, value in told[1].items()
        if told[0].get(name) != value
    )


def _flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return found


def free_name(book: str, taken: dict[str, Known]) -> str:
    """A name like `book` that no book has."""
    return next(name for k in count(2) if (name := f"{book}-{k}") not in taken)
