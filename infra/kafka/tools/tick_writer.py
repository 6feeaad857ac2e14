"""TickWriter: the one writer of a live book's rows, which knows from the topic itself where it goes on.

Rows are written in transactions under PREFIX.feed.BOOK, so whoever starts shuts out who wrote before, and half of what
belongs together is never there. Each record carries the mark of the rows up to it as a header: the number of the next
row, and the last trade that is in one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import ConsumerRecord

from windvane.infra.kafka.broker.clients import close, connect, ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.live.rows import Mark
from windvane.infra.telemetry.logs import logger
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import BookClosed, BookOpened, DeadLetter, Event, Ticks
from windvane.streams.topics import DEAD_LETTERS, TICKS, Topic

HEADER = "windvane.mark"
_FIRST_WINDOW = 64
_WIDER = 16
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class FeedingError(SettingsError):
    """A book cannot be fed, or not by this writer any more."""


class TickWriter:
    """Writes the rows of one book. A broker that is away is waited for, and nothing is lost or doubled by it."""

    def __init__(self, settings: KafkaSettings, book: str, partitions: int) -> None:
        self._settings = settings
        self._book = book
        self._partition = partition_of(book, partitions)
        self._producer: AIOKafkaProducer | None = None
        self._next = 0  # seq of the first row that is not known to be written
        self._log = logger(stage="feed", book=book)

    async def start(self) -> Mark | None:
        """Shut out any other writer of the book; returns where its rows end, None where the topic has none of them.

        Raises FeedingError where the book is closed.
        """
        asyncio.get_running_loop().set_exception_handler(_heard)
        await self._connect()
        mark = await tail_of(self._settings, self._book, self._partition)
        self._next = 0 if mark is None else mark.seq
        return mark

    async def open(self, opened: BookOpened) -> None:
        """Write the opening of a book that the topic does not have."""
        await self._transaction([(TICKS, opened)], Mark())

    async def write(self, ticks: Sequence[Ticks], mark: Mark, letters: Sequence[DeadLetter] = ()) -> None:
        """Write rows and letters, all or none, and wait until the broker has them. mark: after these rows.

        Raises FeedingError where another writer has taken the book over.
        """
        events: list[tuple[Topic, Event]] = [(DEAD_LETTERS, letter) for letter in letters]
        events += [(TICKS, event) for event in ticks]
        written = False
        while not written:
            try:
                await self._transaction(events, mark)
                written = True
            except (ProducerFenced, InvalidProducerEpoch) as error:
                raise self._taken_over() from error
            except (KafkaError, IllegalOperation, OSError) as error:
                self._log.warning("the broker does not take rows", reason=f"{type(error).__name__}: {error}")
                written = await self._written_after_all(mark)
        self._next = mark.seq

    async def close(self) -> None:
        """Let go of the broker."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await close(producer)

    async def _transaction(self, events: Sequence[tuple[Topic, Event]], mark: Mark) -> None:
        """Write events in one transaction; one that fails is aborted by the next `_connect`."""
        if self._producer is None:
            raise IllegalOperation("the writer is not started")
        headers = [(HEADER, msgspec.json.encode(mark))]
        await self._producer.begin_transaction()
        sent = [
            await self._producer.send(
                self._settings.topic(topic),
                to_json(event),
                key=self._book.encode(),
                partition=self._partition,
                headers=headers if topic is TICKS else [],
            )
            for topic, event in events
        ]
        await asyncio.gather(*sent)
        await self._producer.commit_transaction()

    async def _connect(self) -> None:
        await self.close()
        producer = new_producer(self._settings, f"{self._settings.prefix}.feed.{self._book}")
        try:
            await connect(producer)
        except BaseException:
            await close(producer)
            raise
        self._producer = producer

    async def _written_after_all(self, mark: Mark) -> bool:
        """Wait for the broker; returns whether it has the rows up to `mark`, whose writing did not end well."""
        for seconds in chain(_BACKOFF_SECONDS, repeat(_BACKOFF_SECONDS[-1])):
            await asyncio.sleep(seconds)
            try:
                await self._connect()
                there = await tail_of(self._settings, self._book, self._partition)
            except (KafkaError, IllegalOperation, OSError):
                continue
            seq = 0 if there is None else there.seq
            if seq not in (self._next, mark.seq):
                raise self._taken_over()
            return seq == mark.seq != self._next
        raise AssertionError("never: the pauses do not end")

    def _taken_over(self) -> FeedingError:
        return FeedingError(
            f"another feed writes book {self._book} now: let one of the two run, and give the other a --book of its own"
        )


def _heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of being shut out: aiokafka leaves that in futures that nobody can read, and `write` raises it."""
    if not isinstance(context.get("exception"), ProducerFenced | InvalidProducerEpoch):
        loop.default_exception_handler(context)


async def tail_of(settings: KafkaSettings, book: str, partition: int) -> Mark | None:
    """Where the rows of a book on the ticks topic end, None where it has no record there.

    Rows of a writer that leaves no mark are gone on with at the next number and whatever trade comes next. Raises
    FeedingError where the book is closed.
    """
    place = TopicPartition(settings.topic(TICKS), partition)
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, [place])
        start = stop = ends[place]
        width = _FIRST_WINDOW
        while start > first[place]:
            start, stop = max(first[place], start - width), start
            width *= _WIDER
            reader.assign([place])
            reader.seek(place, start)
            found: Mark | None = None
            while await reader.position(place) < stop:
                for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                    if record.offset < stop and record.key == book.encode():
                        found = _mark_of(record) or found
            if found is not None:
                return found
    return None


def _mark_of(record: ConsumerRecord[bytes, bytes]) -> Mark | None:
    """What a record says of where its book goes on, None where it says nothing."""
    for name, raw in record.headers:
        if name == HEADER:
            try:
                return msgspec.json.decode(raw, type=Mark)
            except msgspec.DecodeError:
                break  # of somebody else, so the record itself is looked at
    try:
        event = from_json(record.value or b"")
    except WireError:
        return None
    if isinstance(event, BookClosed):
        raise FeedingError(f"book {event.book} is closed, and a name is used once: give another --book")
    if isinstance(event, Ticks):
        names = ("size", "bid", "ask", "bid_size", "ask_size", "buy_size")
        columns = tuple(name for name in names if getattr(event, name) is not None)
        return Mark(event.last + 1, None, int(event.ts[-1]), columns)
    return Mark() if isinstance(event, BookOpened) else None
