"""Many books and what feeds them: a history at once, then a row of one book after the other at an even pace."""

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle
from threading import Thread
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from chaos.cluster import ChaosError
from simulated_book import config, opening, ticks
from windvane.infra.kafka.broker.clients import connect, new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import BookClosed, BookOpened, Event, Ticks, cut
from windvane.streams.topics import TICKS

HISTORY = 520
"""Rows that are sent at once before the others: the warm-up, before which nothing is ordered, and some after it."""

TAIL = 60
"""Rows that are sent at once in the end, after the last kill."""

_MOST_ROWS = 3_000  # of a market, so that it lasts longer than the kills
_MARKETS = 16  # that are simulated; further books trade them again
_TAIL_RECORD = 20
_HISTORY, _LIVE, _TAIL, _ABANDONED = range(4)


class FleetBook(NamedTuple):
    """A book of many: how it is opened, and the market that it trades, of which it gets as many rows as are needed."""

    opened: BookOpened
    market: Ticks

    @property
    def name(self) -> str:
        """The key of its records."""
        return self.opened.book

    @property
    def timed(self) -> bool:
        """Whether its rounds close by the clock."""
        return self.opened.config.closing == "timed"


def fleet_of(count: int, seed: int) -> list[FleetBook]:
    """Return `count` books, in turn one in lockstep and one by the clock."""
    markets = [ticks(_MOST_ROWS, seed + k) for k in range(min(count, _MARKETS))]
    settings = (config(), config(closing="timed"))
    names = [f"fleet-{k}" for k in range(count)]
    return [
        FleetBook(
            opening(settings[k % 2], name),
            msgspec.structs.replace(markets[k // 2 % len(markets)], book=name),
        )
        for k, name in enumerate(names)
    ]


class Feed:
    """A thread that feeds books; a context manager that gives up what is not sent yet at its end.

    rate: rows a second of all books together, which take turns.
    """

    def __init__(
        self, settings: KafkaSettings, partitions: int, books: Sequence[FleetBook], rate: float
    ) -> None:
        self._settings, self._partitions, self._books, self._rate = settings, partitions, books, rate
        self.rows = {book.name: 0 for book in books}  # sent
        self._phase = _HISTORY
        self._failure = ""
        self._acknowledged: list[asyncio.Future[Any]] = []
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._phase = _ABANDONED
        self._thread.join(30)

    def go_live(self) -> None:
        """Begin to send rows at the rate, once the history is sent."""
        self._phase = _LIVE

    def finish(self) -> None:
        """Stop sending at the rate, send the tail of every book at once, and close the books."""
        self._phase = _TAIL

    def finished(self) -> bool:
        """Whether all is acknowledged by the broker; raises ChaosError where it never will be."""
        if self._failure:
            raise ChaosError(f"the sender ended: {self._failure}")
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._feed())
        except (ChaosError, KafkaError, OSError) as error:
            self._failure = repr(error)

    async def _feed(self) -> None:
        producer = new_producer(self._settings)
        await connect(producer)
        try:
            for book in self._books:
                await self._write(producer, book.opened)
                await self._send(producer, book, HISTORY, HISTORY)
            while self._phase == _HISTORY:
                await asyncio.sleep(0.05)
            await self._paced(producer)
            if self._phase == _TAIL:
                await self._close(producer)
        finally:
            await producer.stop()
        await asyncio.gather(*self._acknowledged)

    async def _paced(self, producer: AIOKafkaProducer) -> None:
        began = time.monotonic()
        for k, book in enumerate(cycle(self._books)):
            await asyncio.sleep(max(0.0, began + k / self._rate - time.monotonic()))
            if self._phase != _LIVE:
                return
            await self._send(producer, book, 1, 1)

    async def _close(self, producer: AIOKafkaProducer) -> None:
        for book in self._books:
            await self._send(producer, book, TAIL, _TAIL_RECORD)
            await self._write(producer, BookClosed(book=book.name, last=self.rows[book.name] - 1))

    async def _send(self, producer: AIOKafkaProducer, book: FleetBook, rows: int, record: int) -> None:
        """Send the next `rows` rows of a book in records of at most `record`."""
        start = self.rows[book.name]
        if start + rows > len(book.market):
            raise ChaosError(
                f"all {len(book.market)} rows of {book.name} are sent: kill less, or send slower"
            )
        for piece in cuts(cut(book.market, start, start + rows), record):
            await self._write(producer, piece)
        self.rows[book.name] += rows

    async def _write(self, producer: AIOKafkaProducer, event: Event) -> None:
        place = partition_of(event.book, self._partitions)
        topic = self._settings.topic(TICKS)
        sent = await producer.send(topic, to_json(event), key=event.book.encode(), partition=place)
        self._acknowledged.append(sent)
