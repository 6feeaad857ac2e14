"""The state of the whole pipeline: what workers tell of themselves and of every book, and what the broker knows.

Books and workers come from the topic of summaries alone, so a silent book is there like any other. The broker adds who
is in which group and how far it is, and the dead letters.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.groups import Group, groups
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings
from windvane.infra.kafka.broker.summaries import Summaries, read_summaries
from windvane.infra.kafka.broker.tails import Span, Tail, read_tails, spans
from windvane.infra.status import troubles
from windvane.infra.status.books import Book, books_of
from windvane.infra.status.troubles import Limits, with_troubles
from windvane.infra.status.workers import Worker, waiting_records, workers_of
from windvane.streams import topics
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import DeadLetter

HOUR = 3600.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the pipeline at one moment: everything that the status page shows."""

    prefix: str
    bootstrap: str
    time: float  # UNIX s
    books: dict[str, Book]  # by name
    workers: list[Worker]
    groups: list[Group]  # with members: one that nobody is in is no more
    orders: int  # offsets of the orders topic: at most so many orders are kept
    dead_letters: int  # offsets of the dead letters written in the last hour
    last_dead_letter: str | None  # its reason
    last_dead_letter_age: float | None  # s
    troubles: list[str]  # what should wake a person, each with what to do


class Watcher:
    """Reads the state of the pipeline through clients that stay connected, once or many times."""

    def __init__(
        self, settings: KafkaSettings, partitions: int, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient
    ) -> None:
        self._settings = settings
        self.partitions = partitions
        self._reader = reader
        self._admin = admin
        self._told = False  # whether the topic of summaries was there

    async def status(self, limits: Limits) -> Status:
        """Read the present state of the pipeline; limits: from where on something is a trouble."""
        name = self._settings.topic
        places = [TopicPartition(name(topic), p) for topic in topics.TOPICS for p in range(self.partitions)]
        spans_of = await spans(self._reader, places)
        self._told = self._told or await layout.has_summaries(self._settings)
        summaries = Summaries({}, {})
        if self._told:
            summaries = await read_summaries(self._reader, self._settings, range(self.partitions))
        letters = {p: span for p, span in spans_of.items() if p.topic == name(topics.DEAD_LETTERS)}
        tails = await read_tails(self._reader, letters, [])
        now = time.time()
        last = max(
            (tail for books in tails.values() for kept in books.values() for tail in kept),
            key=_written,
            default=None,
        )
        books = {book: with_troubles(told, limits) for book, told in books_of(summaries, now).items()}
        status = Status(
            prefix=self._settings.prefix,
            bootstrap=self._settings.bootstrap,
            time=now,
            books=books,
            workers=workers_of(summaries, now),
            groups=await groups(self._admin, self._settings.prefix, spans_of),
            orders=_total(spans_of, name(topics.ORDERS)),
            dead_letters=await self._letters(letters, now, last),
            last_dead_letter=None if last is None else _reason(last),
            last_dead_letter_age=None if last is None else max(0.0, now - last.written),
            troubles=[],
        )
        ends = {(p.topic.removeprefix(name("")), p.partition): span.stop for p, span in spans_of.items()}
        found = self._troubles(status, limits, waiting_records(summaries, ends))
        return msgspec.structs.replace(status, troubles=list(found))

    def _troubles(self, status: Status, limits: Limits, waiting: Mapping[str, int]) -> Iterator[str]:
        """A sentence for each thing that a person should look at at once, with what to do."""
        books, workers, members = status.books.values(), status.workers, status.groups
        if not self._told:
            topic, mend = (
                self._settings.topic(layout.SUMMARIES),
                layout.mending(self._settings, self.partitions),
            )
            yield f"topic {topic} is missing, so workers cannot tell of their books: run {mend}"
        yield from troubles.of_books(books)
        yield from troubles.of_workers(workers, members)
        yield from troubles.of_groups(members, limits)
        if waiting or members or any(not book.closed for book in books):
            yield from troubles.of_stages(books, workers, members, waiting)
        if status.dead_letters:
            said = (
                f"{status.dead_letters:,} dead letters in the last hour, the last: {status.last_dead_letter}"
            )
            yield f"{said}: mend what sends such records (topic {self._settings.topic(topics.DEAD_LETTERS)})"

    async def _letters(self, letters: Mapping[TopicPartition, Span], now: float, last: Tail | None) -> int:
        """How many offsets the dead letters of the last hour take, which counts markers of transactions, too."""
        if last is None or now - last.written > HOUR:
            return 0
        mine = {place: span for place, span in letters.items() if span.stop > span.first}
        since = await self._reader.offsets_for_times(dict.fromkeys(mine, int((now - HOUR) * 1000)))
        return sum(max(0, mine[place].stop - at.offset) for place, at in since.items() if at is not None)


@asynccontextmanager
async def watching(settings: KafkaSettings) -> AsyncIterator[Watcher]:
    """Context manager: a Watcher that is connected to the broker, and disconnected at the end.

    Raises SettingsError where the broker cannot be reached, LayoutError where topics are missing.
    """
    partitions = await layout.check(settings)
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(reading(settings))
        admin = AIOKafkaAdminClient(**settings.client(), request_timeout_ms=int(ANSWER_SECONDS * 1000))
        stack.push_async_callback(admin.close)
        await admin.start()
        yield Watcher(settings, partitions, reader, admin)


def _reason(tail: Tail) -> str:
    """The reason that a dead letter names."""
    try:
        event = from_json(tail.raw)
    except WireError:
        return "not a dead letter"
    return event.reason if isinstance(event, DeadLetter) else "not a dead letter"


def _written(tail: Tail) -> float:
    """When the broker received a record, the key by which the latest is found."""
    return tail.written


def _total(spans_of: Mapping[TopicPartition, Span], topic: str) -> int:
    """How many offsets all partitions of a topic hold."""
    return sum(span.stop - span.first for place, span in spans_of.items() if place.topic == topic)
