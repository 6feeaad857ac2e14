"""Feeding: the rows of a live book from an exchange's feed to its topic, until somebody stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from windvane.infra.feeds.feed import Feed, Gap, Item, Market, Note, Quote, Trade
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.tools.books import KnownBook, known_books, opening_of
from windvane.infra.kafka.tools.control_watch import ControlWatch
from windvane.infra.kafka.tools.replayer import known_as
from windvane.infra.kafka.tools.tick_writer import TickWriter
from windvane.infra.live.rows import LiveRows, Mark
from windvane.infra.telemetry.logs import Log, logger
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.streams.events import BookOpened

_TURN = 0.1
"""Seconds after which silence, and whether a control has come, is looked at."""


@dataclass(frozen=True, slots=True)
class Feeding:
    """What is to be fed. configure: the settings of a new book, of what the exchange says and a price."""

    book: str
    interval: int  # ns of a bar, 0: a row a trade
    configure: Callable[[Market, float], TradingConfig]


async def feed_book(
    settings: KafkaSettings, feeding: Feeding, feed: Feed, stopping: Callable[[], bool]
) -> int:
    """Open the book, or go on behind its last row, and write rows until `stopping` says so; returns the next seq.

    Raises SettingsError where the broker cannot be used, the book has other settings or another feed writes it,
    FeedError where the exchange cannot be read.
    """
    partitions = await layout.check(settings)
    writer = TickWriter(settings, feeding.book, partitions)
    watch = ControlWatch(settings, feeding.book, partition_of(feeding.book, partitions))
    watching: asyncio.Task[None] | None = None
    try:
        mark = await writer.start()
        market = await feed.open(after=None if mark is None else mark.trade)
        if mark is None:
            opened = await _opened(settings, feeding, market, feed, partitions, stopping)
            if opened is None:
                return 0
            (items, opening), mark = opened, Mark()
            await writer.open(opening)
        else:
            await _check_same(settings, feeding, market, partitions)
            items = []
        watching = asyncio.create_task(watch.run())
        rows = LiveRows(market, feeding.interval or None, feeding.book, mark)
        await _work(feed, rows, writer, watch, items, stopping)
        return rows.mark.seq
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await feed.close()
        await writer.close()


async def _work(
    feed: Feed,
    rows: LiveRows,
    writer: TickWriter,
    watch: ControlWatch,
    items: list[Item],
    stopping: Callable[[], bool],
) -> None:
    log = logger(stage="feed")
    settled = await feed.settled()
    while not stopping():
        _tell(log, items)
        rows.put(items)
        ticks = rows.close_until(settled)
        if watch.came():
            ticks.append(rows.heartbeat(settled))
        if ticks or rows.letters:
            await writer.write(ticks, rows.mark, rows.letters)
            rows.letters.clear()
        items = await _taken(feed)
        settled = await feed.settled()


async def _taken(feed: Feed) -> list[Item]:
    """What has come, and nothing where nothing comes within a turn."""
    try:
        return await asyncio.wait_for(feed.take(), _TURN)
    except TimeoutError:
        return []


async def _opened(
    settings: KafkaSettings,
    feeding: Feeding,
    market: Market,
    feed: Feed,
    partitions: int,
    stopping: Callable[[], bool],
) -> tuple[list[Item], BookOpened] | None:
    """The opening of a book that the topic lacks, at the first price, and what came up to it; None where stopped."""
    items: list[Item] = []
    while not stopping():
        items += await _taken(feed)
        prices = (_price(item) for item in items)
        if price := next(filter(None, prices), 0.0):
            config = feeding.configure(market, price)
            opening = BookOpened(book=feeding.book, config=config, digest=digest(config))
            known_as(settings, opening, await known_books(settings, partitions))
            return items, opening
    return None


def _price(item: Item) -> float:
    if isinstance(item, Trade):
        return item.price
    return 0.5 * item.bid + 0.5 * item.ask if isinstance(item, Quote) else 0.0


async def _check_same(settings: KafkaSettings, feeding: Feeding, market: Market, partitions: int) -> None:
    """Raises SettingsError where the book was opened with other settings; the price of that time alone may differ."""
    known = await opening_of(settings, partitions, feeding.book)
    if known is None:  # it is older than what the topic keeps
        return
    config = msgspec.structs.replace(feeding.configure(market, 0.0), min_order=known.config.min_order)
    asked = BookOpened(book=feeding.book, config=config, digest=digest(config))
    known_as(settings, asked, {feeding.book: KnownBook(known)})


def _tell(log: Log, items: list[Item]) -> None:
    for item in items:
        if isinstance(item, Note):
            log.info("feed", kind=item.kind, text=item.text)
        elif isinstance(item, Gap):
            log.warning("trades are missing", first=item.first, last=item.last, reason=item.reason)
