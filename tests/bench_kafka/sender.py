"""Sends ticks of simulated books at a steady rate, whatever the pipeline does; their event time is when each is due."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from seen import places_of, rows_in

from windvane.agents.factory import RULES
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.metamodel.simulation.market import SimulatedMarket, simulate
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import BookClosed, BookOpened, Event, Ticks
from windvane.streams.topics import DECISIONS, TICKS

HISTORY = 768
"""Rows that are sent at once before the others: the warm-up, and some rows after it."""

MARKETS = 16
"""Markets that are simulated; further books trade them again."""

_STEP = 5_000_000  # ns between rows of the history


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The ticks to send: to which broker and books, how many a second, and for how long."""

    bootstrap: str
    prefix: str
    books: tuple[str, ...]  # take turns
    rate: float  # rows a second of all books together
    seconds: float
    closing: str = "lockstep"
    seed: int = 7
    history: int = HISTORY
    gather: float = 0.0  # seconds for which the feed lets rows gather before it sends them

    @property
    def rows(self) -> int:
        """Rows of every book, with its history."""
        return self.history + int(self.rate * self.seconds / len(self.books))


class Sent(NamedTuple):
    """What was sent: the number of rows, and percentiles of the seconds from due to the call of the producer."""

    rows: int
    late_p50: float
    late_p99: float


def opening(book: str, closing: str) -> BookOpened:
    """Return the event that opens a book with the six rules and default settings; closing: "lockstep" or "timed"."""
    config = TradingConfig(agents=tuple(RULES), closing=closing)
    return BookOpened(book=book, config=config, digest=digest(config))


def rows_of(book: str, market: SimulatedMarket, ts: Sequence[int] | np.ndarray, start: int) -> Ticks:
    """Return rows of a market from row `start` on, with the times `ts`, UNIX ns, instead of their own."""
    at = slice(start, start + len(ts))
    columns = ("price", "size", "bid", "ask", "bid_size", "ask_size", "buy_size")
    return Ticks(
        book=book,
        seq=np.arange(start, start + len(ts)),
        ts=np.asarray(ts, dtype=np.int64),
        flags=np.zeros(len(ts), np.int64),
        **{name: getattr(market, name)[at].copy() for name in columns},
    )


async def send(load: Load) -> Sent:
    """Open the books, send their history, wait until it is decided, send the rest at the rate, and close the books."""
    settings = KafkaSettings(bootstrap=load.bootstrap, prefix=load.prefix)
    partitions = await layout.check(settings)
    drawn = [simulate("standard", load.rows, load.seed + k) for k in range(min(len(load.books), MARKETS))]
    markets = {book: drawn[k % MARKETS] for k, book in enumerate(load.books)}
    producer = new_producer(settings)
    await producer.start()

    async def write(event: Event) -> None:
        raw, book = to_json(event), event.book
        place = partition_of(book, partitions)
        await producer.send(settings.topic(TICKS), raw, key=book.encode(), partition=place)

    try:
        began = time.time_ns() - 60_000_000_000
        for book in load.books:
            await write(opening(book, load.closing))
            past = rows_of(book, markets[book], began + _STEP * np.arange(load.history), 0)
            for piece in cuts(past):
                await write(piece)
        await producer.flush()
        await _history_decided(settings, load, partitions)
        start = time.time_ns() + 500_000_000
        sys.stdout.write(json.dumps({"start": start}) + "\n")
        sys.stdout.flush()
        late = []
        for due, book, seq in _schedule(load, start):
            while (left := due - time.time_ns()) > 0:
                await asyncio.sleep(max(left / 1e9, load.gather))
            late.append(time.time_ns() - due)
            await write(rows_of(book, markets[book], [due], seq))
        for book in load.books:
            await write(BookClosed(book=book, last=load.rows - 1))
    finally:
        await producer.stop()
    p50, p99 = np.percentile(np.array(late) / 1e9, [50, 99])
    return Sent(len(late), float(p50), float(p99))


async def _history_decided(settings: KafkaSettings, load: Load, partitions: int) -> None:
    """Return once a reader of committed records has the decisions of the whole history of every book."""
    last = load.history - 1
    missing = {book.encode() for book in load.books}
    places = places_of(settings, (DECISIONS,), load.books, partitions)
    async with reading(settings) as reader:
        first, _ = await ends_of(reader, tuple(places))
        reader.assign(tuple(places))
        for place, offset in first.items():
            reader.seek(place, offset)
        while missing:
            for records in (await reader.getmany(timeout_ms=200)).values():
                missing -= {r.key for r in records if rows_in(r.value or b"")[1] >= last}


def _schedule(load: Load, start: int) -> Iterator[tuple[int, str, int]]:
    """For each row the time at which it is due, UNIX ns, its book and its number; books take turns."""
    for k in range((load.rows - load.history) * len(load.books)):
        yield (
            int(start + k * 1e9 / load.rate),
            load.books[k % len(load.books)],
            load.history + k // len(load.books),
        )
