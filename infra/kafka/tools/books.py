"""What the ticks topic says of books: how they were opened, how many rows of them were sent, and whether they ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import msgspec
from aiokafka import TopicPartition

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import BookClosed, BookOpened, Ticks
from windvane.streams.topics import TICKS


@dataclass(slots=True)
class KnownBook:
    """A book that was opened on the ticks topic."""

    opened: BookOpened
    rows: int = 0  # sent without a gap
    closed: bool = False


class _Seqs(msgspec.Struct):
    seq: list[int]


async def known_books(
    settings: KafkaSettings, partitions: int, book: str | None = None
) -> dict[str, KnownBook]:
    """Every book on the ticks topic by name, read from its beginning; book: read only the partition of this one."""
    chosen = range(partitions) if book is None else (partition_of(book, partitions),)
    places = [TopicPartition(settings.topic(TICKS), partition) for partition in chosen]
    books: dict[str, KnownBook] = {}
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, places)
        reader.assign(places)
        for place in places:
            reader.seek(place, first[place])
        at = first
        while any(at[place] < ends[place] for place in places):
            for records in (await reader.getmany(timeout_ms=500)).values():
                for record in records:
                    _learn(books, record.key or b"", record.value or b"")
            at = {place: await reader.position(place) for place in places}
    return books


async def opening_of(settings: KafkaSettings, partitions: int, book: str) -> BookOpened | None:
    """How a book was opened, None where the ticks topic does not say; it is read no further than to the opening."""
    place = TopicPartition(settings.topic(TICKS), partition_of(book, partitions))
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, [place])
        reader.assign([place])
        reader.seek(place, first[place])
        while await reader.position(place) < ends[place]:
            for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                books: dict[str, KnownBook] = {}
                if record.key == book.encode() and b'"BookOpened"' in (record.value or b""):
                    _learn(books, record.key, record.value or b"")
                if book in books:
                    return books[book].opened
    return None


def last_seq(raw: bytes) -> int:
    """Seq of the last row of a batch on the wire, -1 where the bytes are anything else."""
    seqs = _seqs(raw)
    return seqs[-1] if seqs else -1


def _seqs(raw: bytes) -> list[int]:
    try:
        return msgspec.json.decode(raw, type=_Seqs).seq
    except msgspec.DecodeError:
        return []


def _continued(rows: int, seqs: Sequence[int]) -> int:
    """How many rows are there without a gap once a batch is added; one that lies further ahead is a mistake."""
    return max(rows, seqs[-1] + 1) if seqs and seqs[0] <= rows else rows


def _learn(books: dict[str, KnownBook], key: bytes, raw: bytes) -> None:
    """Add what a record of the ticks topic says of its book; records that are no events are passed over."""
    known = books.get(key.decode(errors="replace"))
    if known is not None and raw.startswith(
        b'{"type":"Ticks"'
    ):  # most records: of them only `seq` is decoded
        known.rows = _continued(known.rows, _seqs(raw))
        return
    try:
        event = from_json(raw)
    except WireError:
        return  # the workers write a dead letter of it
    if isinstance(event, BookOpened):
        books.setdefault(event.book, KnownBook(event))
    elif event.book in books and isinstance(event, BookClosed):
        books[event.book].closed = True
    elif event.book in books and isinstance(event, Ticks):
        books[event.book].rows = _continued(books[event.book].rows, [event.first, event.last])


def free_name(book: str, books: dict[str, KnownBook]) -> str:
    """A name like `book` that none of the books has."""
    return next(name for k in count(2) if (name := f"{book}-{k}") not in books)
