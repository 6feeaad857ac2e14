"""A book is closed by hand as its feed would do it, and a closed one is taken out of the lists."""

import time
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import connect, ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.broker.summaries import Removed, Summaries, Told, key_of_removed, read_summaries
from windvane.infra.kafka.tools.books import last_seq
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import BookClosed, BookOpened, Ticks
from windvane.streams.summaries import BookSummary
from windvane.streams.topics import FEATURES, TICKS

_BUSY_SECONDS = 30.0
"""A feed that has sent a row so lately is likely to send more, which would come too late."""

_STAGE = FEATURES.written_by


class BookError(SettingsError):
    """A book cannot be closed or removed; the message says why and what to do."""


class End(NamedTuple):
    """Where a book would end if it were closed now."""

    book: str
    rows: int  # sent so far, with those beyond holes
    age: float | None  # s since its newest row came, as far as that is known; None where it is not
    position: float | None  # units of capital that it holds, None where no worker has told it


async def end_of(settings: KafkaSettings, book: str) -> End:
    """Where a book would end now; raises BookError where there is no such book, or it is closed already."""
    partitions = await layout.check(settings)
    partition = partition_of(book, partitions)
    async with reading(settings) as reader:
        summaries = await _summaries(reader, settings, partition)
        seen = _Ticks(book)
        fed = summaries.told.get((_STAGE, partition))
        known = _summary_of(fed, book)
        at = 0
        if known is not None and fed is not None and fed.worker is not None:
            at = fed.worker.positions.get(TICKS.name, 0)
        if known is not None and at:
            seen.rows, seen.opened, seen.closed = max(known.reached, 0), True, known.closed
            seen.age = _row_age(fed, book)
        await _read(reader, TopicPartition(settings.topic(TICKS), partition), at if seen.opened else 0, seen)
    if not seen.opened:
        raise BookError(
            f"prefix {settings.prefix} has no book {book}: `windvane books list` shows those that there are"
        )
    if seen.closed:
        raise BookError(f"book {book} is closed already: nothing is to be done")
    return End(book, seen.rows, seen.age, _position(summaries, book))


async def close_book(settings: KafkaSettings, end: End) -> None:
    """End a book after its last row, as its feed would; what is sent of it later is not worked off."""
    partitions = await layout.check(settings)
    event = BookClosed(book=end.book, last=end.rows - 1)
    await _write(
        settings, settings.topic(TICKS), end.book.encode(), to_json(event), partition_of(end.book, partitions)
    )


async def remove_book(settings: KafkaSettings, book: str) -> None:
    """Take a closed book out of the lists; raises BookError where some stage has not closed it."""
    partitions = await layout.check(settings)
    partition = partition_of(book, partitions)
    async with reading(settings) as reader:
        summaries = await _summaries(reader, settings, partition)
    known = {name: found for (name, _), told in summaries.told.items() if (found := _summary_of(told, book))}
    if not known:
        raise BookError(
            f"no worker has told of a book {book}: `windvane books list` shows those that there are"
        )
    open_in = sorted(name for name, summary in known.items() if not summary.closed)
    if open_in:
        raise BookError(
            f"book {book} is open in {', '.join(open_in)}: `windvane books close {book}` first, and wait"
        )
    raw = msgspec.json.encode(Removed(at=time.time(), book=book))
    await _write(settings, settings.topic(layout.SUMMARIES), key_of_removed(book), raw, partition)


def busy(end: End) -> bool:
    """Whether the book's feed seems to run."""
    return end.age is not None and end.age < _BUSY_SECONDS


class _Ticks:
    """What records of the ticks topic say of one book."""

    def __init__(self, book: str) -> None:
        self.rows, self.opened, self.closed = 0, False, False
        self.age: float | None = None
        self._book = book

    def add(self, raw: bytes, written: float) -> None:
        """Take in a record; what is no event is passed over, as workers do."""
        if raw.startswith(b'{"type":"Ticks"'):
            self.rows = max(self.rows, last_seq(raw) + 1)
            self.age = max(0.0, time.time() - written)
            return
        try:
            event = from_json(raw)
        except WireError:
            return
        self.opened = self.opened or isinstance(event, BookOpened)
        self.closed = self.closed or isinstance(event, BookClosed)
        if isinstance(event, Ticks):
            self.rows = max(self.rows, event.last + 1)


async def _read(reader: AIOKafkaConsumer, place: TopicPartition, start: int, seen: _Ticks) -> None:
    """Read what the ticks topic holds from an offset on."""
    first, ends = await ends_of(reader, [place])
    reader.assign([place])
    reader.seek(place, min(max(start, first[place]), ends[place]))
    while await reader.position(place) < ends[place]:
        for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
            if (record.key or b"").decode(errors="replace") == seen._book:
                seen.add(record.value or b"", record.timestamp / 1e3)


async def _summaries(reader: AIOKafkaConsumer, settings: KafkaSettings, partition: int) -> Summaries:
    if not await layout.has_summaries(settings):
        return Summaries({}, {})
    return await read_summaries(reader, settings, [partition])


def _summary_of(told: Told | None, book: str) -> BookSummary | None:
    parts = [] if told is None else told.books
    return next((one for part in parts for one in part.books if one.book == book), None)


def _row_age(told: Told | None, book: str) -> float | None:
    """Seconds since the last row of a book came to a stage, None where it does not know."""
    parts = [] if told is None else told.books
    at = (
        when for part in parts for one, when in zip(part.books, part.row_at, strict=False) if one.book == book
    )
    newest = next(at, 0)
    return max(0.0, time.time() - newest) if newest else None


def _position(summaries: Summaries, book: str) -> float | None:
    found = (_summary_of(told, book) for told in summaries.told.values())
    return next((one.trading.position for one in found if one is not None and one.trading is not None), None)


async def _write(settings: KafkaSettings, topic: str, key: bytes, raw: bytes, partition: int) -> None:
    producer = new_producer(settings)
    await connect(producer)
    try:
        await producer.send_and_wait(topic, raw, key=key, partition=partition)
    finally:
        await producer.stop()
