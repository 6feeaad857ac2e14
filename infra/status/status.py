"""The state of the whole pipeline, read from Kafka alone: every book, every group of workers, and the troubles.

A trouble is a sentence about something that a person should look at at once.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.groups import Group, groups
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings
from windvane.infra.kafka.broker.tails import Span, Tail, read_tails, spans
from windvane.infra.status.books import OF_BOOKS, Book, books_of, event_of
from windvane.metamodel.trading.control import STATES
from windvane.streams import topics
from windvane.streams.events import DeadLetter
from windvane.streams.topology import TOPOLOGY

HOUR = 3600.0
_LOOKED_AT = (*OF_BOOKS, topics.ORDERS, topics.LEARNER, topics.DEAD_LETTERS)


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the pipeline at one moment: everything that the status page shows."""

    prefix: str
    bootstrap: str
    time: float  # UNIX s
    books: list[Book]
    groups: list[Group]
    orders: int  # offsets of the orders topic: at most so many orders are kept
    dead_letters: int  # offsets of the dead letters written in the last hour
    last_dead_letter: str | None  # its reason
    last_dead_letter_age: float | None  # s
    troubles: list[str]  # what should wake a person


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The thresholds above which `troubles` reports something."""

    silence: float = 60.0  # s without a tick of an open book
    behind: int = 10_000  # rows of a book, or records of a group


class Watcher:
    """Reads the state of the pipeline through clients that stay connected, once or many times."""

    def __init__(
        self, settings: KafkaSettings, partitions: int, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient
    ) -> None:
        self._settings = settings
        self._partitions = partitions
        self._reader = reader
        self._admin = admin

    async def status(self, limits: Limits) -> Status:
        """Read the present state of the pipeline; limits: from where on something is a trouble."""
        name = self._settings.topic
        places = [TopicPartition(name(topic), p) for topic in topics.TOPICS for p in range(self._partitions)]
        spans_of = await spans(self._reader, places)
        looked = {name(topic) for topic in _LOOKED_AT}
        tails = await read_tails(
            self._reader,
            {place: span for place, span in spans_of.items() if place.topic in looked},
            [name(topic) for topic in OF_BOOKS],
        )
        now = time.time()
        letters = tails.get(name(topics.DEAD_LETTERS), {})
        last = max((tail for kept in letters.values() for tail in kept), key=_written, default=None)
        values = {
            "prefix": self._settings.prefix,
            "bootstrap": self._settings.bootstrap,
            "time": now,
            "books": books_of(self._settings, tails, now),
            "groups": await groups(self._admin, self._settings.prefix, spans_of),
            "orders": _total(spans_of, name(topics.ORDERS)),
            "dead_letters": await self._letters(spans_of, now, last),
            "last_dead_letter": None if last is None else _reason(last),
            "last_dead_letter_age": None if last is None else now - last.written,
        }
        status = msgspec.convert({**values, "troubles": []}, Status, from_attributes=True)
        return msgspec.structs.replace(status, troubles=list(troubles(status, limits)))

    async def _letters(self, spans_of: Mapping[TopicPartition, Span], now: float, last: Tail | None) -> int:
        """How many offsets the dead letters of the last hour take, which counts markers of transactions, too."""
        if last is None or now - last.written > HOUR:
            return 0
        name = self._settings.topic(topics.DEAD_LETTERS)
        mine = {
            place: span for place, span in spans_of.items() if place.topic == name and span.stop > span.first
        }
        since = await self._reader.offsets_for_times(dict.fromkeys(mine, int((now - HOUR) * 1000)))
        return sum(mine[place].stop - at.offset for place, at in since.items() if at is not None)


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


def troubles(status: Status, limits: Limits) -> Iterable[str]:
    """Yield a sentence for each thing that a person should look at at once.

    Those are halted books, books without ticks or without decisions, lag above the limits, stages without a worker, and
    dead letters in the last hour.
    """
    for book in status.books:
        if book.closed and not book.behind:
            continue
        if book.state == STATES[2]:
            yield f"book {book.book} is halted"
        if not book.closed and (book.tick_age or 0.0) > limits.silence:
            yield f"book {book.book} has had no tick for {book.tick_age:,.0f} s"
        if (book.behind or 0) > limits.behind:
            yield f"the decisions of book {book.book} are {book.behind:,} rows behind its ticks"
        elif book.behind and min(book.tick_age or 0.0, book.decision_age or HOUR) > limits.silence:
            yield f"book {book.book} has {book.behind:,} ticks and no decision on them"
    for group in status.groups:
        if group.lag > limits.behind:
            yield f"the workers of {group.name} are {group.lag:,} records behind"
    if any(not book.closed for book in status.books):
        working = {group.stage for group in status.groups if group.members}
        for stage in (stage.name for stage in TOPOLOGY):
            if stage not in working:
                yield f"no worker of stage {stage} is running"
    if status.dead_letters:
        yield f"{status.dead_letters:,} dead letters in the last hour, the last: {status.last_dead_letter}"


def _reason(tail: Tail) -> str:
    """The reason that a dead letter names."""
    event = event_of(tail)
    return event.reason if isinstance(event, DeadLetter) else "not a dead letter"


def _written(tail: Tail) -> float:
    """When the broker received a record, the key by which the latest is found."""
    return tail.written


def _total(spans_of: Mapping[TopicPartition, Span], topic: str) -> int:
    """How many offsets all partitions of a topic hold."""
    return sum(span.stop - span.first for place, span in spans_of.items() if place.topic == topic)
