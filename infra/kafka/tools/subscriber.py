"""Orders for a program that acts on them: each comes once while the program runs, and none is lost when it crashes.

An order is on its topic once. A program that crashes after it acted on an order, and before that was remembered, gets
the order again. So pass on the order's id, which is the same every time, and let the venue refuse the second.
"""

import logging
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError, TopicAuthorizationFailedError

from windvane.infra.kafka.broker.clients import close, connect, ends_of, new_reader
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of, reachable
from windvane.infra.kafka.tools.bookmark import Bookmark
from windvane.streams.records import Order
from windvane.streams.topics import ORDERS

_POLL_SECONDS = 0.2
_decoder = msgspec.json.Decoder(Order)
_log = logging.getLogger("windvane.subscriber")


class SubscriberError(SettingsError):
    """Orders that cannot be read: the message is one sentence that says why, and what to do."""


class Received(NamedTuple):
    """An order with the bytes of its record, and its partition and offset."""

    order: Order
    raw: bytes
    partition: int
    offset: int


def expired(order: Order) -> bool:
    """Whether the wall clock is past the order's `valid_until`; such an order must not be acted on."""
    return time.time_ns() > order.valid_until


def parse_since(text: str) -> Callable[[Order], bool]:
    """The test of which orders are wanted: from a seq (a whole number) or a time (ISO 8601, UTC without a zone) on.

    Raises SubscriberError for text that is neither.
    """
    if re.fullmatch(r"[0-9]{1,18}", text):
        first = int(text)
        return lambda order: order.seq >= first
    parts = re.fullmatch(r"([^.]+)(?:\.([0-9]{1,9}))?(Z|[+-][0-9:]+)?", text)
    try:
        if parts is None:
            raise ValueError(text)
        moment = datetime.fromisoformat(parts[1] + (parts[3] or ""))
    except ValueError as error:
        raise SubscriberError(
            f"--since is {text!r}: give a seq such as 1700, or a time such as 2024-01-31T12:00:00Z"
        ) from error
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    start = round(moment.timestamp()) * 10**9 + int((parts[2] or "").ljust(9, "0"))
    return lambda order: order.ts >= start


class OrderSubscriber:
    """`async for order in OrderSubscriber(...)`: committed orders, in order of seq within a book, without duplicates.

    settings: a broker's HOST:PORT, or settings; book: only this one, which reads only its partition; since: a seq, or
    a time; resume: a file that remembers how far the caller has acted. The loop that asks for the next order has acted
    on the last one; `await subscriber.done(order)` says so at once, and durably. It waits for a broker that is away.

    follow: whether to wait for further orders at the end; until_idle: end after so many seconds without an order.
    Raises SubscriberError where orders cannot be read, BookmarkError for a file that does not belong here.
    """

    def __init__(
        self,
        settings: KafkaSettings | str | None = None,
        *,
        prefix: str | None = None,
        book: str | None = None,
        since: str | int | None = None,
        resume: Path | str | None = None,
        follow: bool = True,
        until_idle: float | None = None,
    ) -> None:
        if not isinstance(settings, KafkaSettings):
            settings = KafkaSettings.load(settings, prefix)
        elif prefix is not None:
            settings = msgspec.structs.replace(settings, prefix=prefix)
        if until_idle is not None and not 0 < until_idle < 10**9:
            raise SubscriberError(f"--until-idle is {until_idle}: give seconds above 0")
        if book == "":
            raise SubscriberError("--book is empty: give the name of a book, or leave it out for all")
        self._settings = settings
        self._topic = settings.topic(ORDERS)
        self._book = book
        self._wanted = None if since is None else parse_since(str(since))
        self._follow = follow
        self._until_idle = until_idle
        self._bookmark = Bookmark(None if resume is None else Path(resume), self._topic, book)
        self._seen = dict(self._bookmark.place.seen)
        self._last: Received | None = None
        self._orders: AsyncGenerator[Order] | None = None

    expired = staticmethod(expired)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the broker; the order that came last counts as not acted on, unless `done` was called."""
        if self._orders is not None:
            await self._orders.aclose()

    def __aiter__(self) -> AsyncIterator[Order]:
        if self._orders is not None:
            raise SubscriberError("a subscriber is read once: make another one")
        self._orders = self._each()
        return self._orders

    async def _each(self) -> AsyncGenerator[Order]:
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for received in batch:
                    self._last = received
                    yield received.order
                    self._acted_on(received.order, durably=False)

    async def done(self, order: Order) -> None:
        """Remember that the order that came last has been acted on: once this returns, no restart brings it again."""
        self._acted_on(order, durably=True)

    def _acted_on(self, order: Order, *, durably: bool) -> None:
        last = self._last
        if last is not None and last.order.id == order.id:
            self._last = None
            self._bookmark.move(last.partition, last.offset, order.book, order.seq, durably=durably)

    async def batches(self) -> AsyncGenerator[list[Received]]:
        """Orders as they come in, many at a time, for a caller who needs no acknowledgement; nothing is remembered."""
        async with self._reading() as reader:
            try:
                async with aclosing(self._read(reader)) as received:
                    async for batch in received:
                        yield batch
            except KafkaError as error:
                raise self._explained(error) from error

    async def _read(self, reader: AIOKafkaConsumer) -> AsyncGenerator[list[Received]]:
        places = tuple(reader.assignment())
        _, ends = await ends_of(reader, places)
        quiet_since = time.monotonic()
        while True:
            batch: list[Received] = []
            for place, records in (await reader.getmany(timeout_ms=int(_POLL_SECONDS * 1000))).items():
                for record in records:
                    received = self._fresh(place.partition, record.offset, record.value)
                    if received is not None:
                        batch.append(received)
            if batch:
                yield batch
                quiet_since = time.monotonic()
            elif self._until_idle is not None and time.monotonic() - quiet_since >= self._until_idle:
                ends = await reader.end_offsets(places)  # silence of a broker that is away is not the end
                if await self._at(reader, ends):
                    return
            if not self._follow and self._until_idle is None and await self._at(reader, ends):
                return

    async def _at(self, reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether all before `ends` is read; positions are compared, since markers of transactions take offsets too."""
        return all([await reader.position(place) >= end for place, end in ends.items()])

    def _fresh(self, partition: int, offset: int, raw: bytes | None) -> Received | None:
        """The order of a record, None where it is not wanted or came before."""
        try:
            order = _decoder.decode(raw or b"")
        except msgspec.DecodeError as error:
            _log.warning(
                "%s, partition %d, offset %d is not an order: %s", self._topic, partition, offset, error
            )
            return None
        if self._book is not None and order.book != self._book:
            return None
        if order.seq <= self._seen.get(
            order.book, -1
        ):  # an id is a book and a seq, and a book's seq only grows
            _log.warning(
                "%s, partition %d, offset %d is order %s again", self._topic, partition, offset, order.id
            )
            return None
        self._seen[order.book] = order.seq
        if self._wanted is not None and not self._wanted(order):
            return None
        return Received(order, raw or b"", partition, offset)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A started reader that stands on the first order to read; closed at the end of the block."""
        await reachable(self._settings)
        reader = new_reader(self._settings)
        try:
            try:
                await connect(reader)
                await self._seek(reader)
            except KafkaError as error:
                raise self._explained(error) from error
            yield reader
        finally:
            await close(reader)

    async def _seek(self, reader: AIOKafkaConsumer) -> None:
        places = await self._places(reader)
        first, ends = await ends_of(reader, places)
        remembered = self._bookmark.place.next
        at = {place: remembered.get(place.partition, first[place]) for place in places}
        for place, offset in at.items():
            if not first[place] <= offset <= ends[place]:
                raise SubscriberError(
                    f"{self._topic}, partition {place.partition}, has offsets {first[place]} to {ends[place]}, the "
                    f"file to resume from says {offset}: orders were deleted, so remove the file and check what was "
                    "missed"
                )
        reader.assign(places)
        for place, offset in at.items():
            reader.seek(place, offset)

    async def _places(self, reader: AIOKafkaConsumer) -> tuple[TopicPartition, ...]:
        if self._topic not in await reader.topics():  # to ask for it by name could make it
            raise SubscriberError(
                f"topic {self._topic} is not there, or may not be seen: check --prefix, or run `windvane topics "
                f"create --bootstrap {self._settings.bootstrap} --prefix {self._settings.prefix}`"
            )
        await reader.beginning_offsets([TopicPartition(self._topic, 0)])
        partitions = reader.partitions_for_topic(self._topic)
        if self._book is not None:
            partitions = {partition_of(self._book, len(partitions))}
        return tuple(TopicPartition(self._topic, number) for number in sorted(partitions))

    def _explained(self, error: KafkaError) -> SubscriberError:
        if isinstance(error, TopicAuthorizationFailedError):
            return SubscriberError(f"{self._topic} may not be read: ask for READ and DESCRIBE on it")
        if isinstance(error, OffsetOutOfRangeError):
            return SubscriberError(
                f"orders of {self._topic} were deleted before they were read: start again, and check what was missed"
            )
        what = getattr(error, "description", None) or type(error).__name__
        return SubscriberError(
            f"the broker at {self._settings.bootstrap} stopped answering ({what}): try again when it is back"
        )
