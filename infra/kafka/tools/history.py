"""The three sources of a replay through Kafka: a market file, the journal of a run, and the ticks of a topic."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import numpy as np
from aiokafka import TopicPartition

from windvane.infra.files.market_data import MarketData
from windvane.infra.files.timestamps import parse_moment
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.tools.books import known_books
from windvane.infra.kafka.tools.replayer import History
from windvane.infra.runs import journal
from windvane.infra.runs.backtest import Plan
from windvane.infra.runs.snapshots import RunError
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import BookClosed, BookOpened, Control, Model, Ticks, cut
from windvane.streams.topics import TICKS

_BATCH = 4096


def opening(book: str, config: TradingConfig, lockstep: bool) -> BookOpened:
    """The opening of a book with these settings, lockstep (it waits for every agent) or timed (by the clock)."""
    config = msgspec.structs.replace(config, closing="lockstep" if lockstep else "timed")
    return BookOpened(book=book, config=config, digest=digest(config))


def of_market(market: MarketData, plan: Plan) -> History:
    """A market file, opened as a backtest of it would be."""
    rows = len(market.columns)

    def ticks() -> Iterator[Ticks]:
        return (market.ticks(plan.book, at, min(at + _BATCH, rows)) for at in range(0, rows, _BATCH))

    return History(
        opened=BookOpened(book=plan.book, config=plan.config, digest=digest(plan.config)),
        ticks=ticks,
        rows=rows,
        controls=plan.controls,
        letters=tuple(market.dead_letters(plan.book)),
    )


def of_journal(folder: Path, book: str, *, lockstep: bool) -> History:
    """The inputs of a journal, as a book of this name; raises RunError where the journal opens none."""
    opened: BookOpened | None = None
    rows, closes = 0, False
    controls: list[Control | Model] = []
    for _, event in journal.read(folder):
        if isinstance(event, BookOpened):
            opened = opened or event
        elif isinstance(event, Ticks):
            rows = event.last + 1
        elif isinstance(event, Control | Model):
            controls.append(msgspec.structs.replace(event, book=book))
        closes = closes or isinstance(event, BookClosed)
    if opened is None:
        raise RunError(f"{folder} opens no book: its run was stopped before the first row, run it again")

    def ticks() -> Iterator[Ticks]:
        for topic, event in journal.read(folder):
            if isinstance(event, Ticks) and topic.name == TICKS.name:
                yield msgspec.structs.replace(event, book=book)

    return History(opening(book, opened.config, lockstep), ticks, rows, tuple(controls), closes=closes)


def of_topic(
    settings: KafkaSettings,
    source: str | None,
    book: str,
    start: str | None,
    end: str | None,
    *,
    lockstep: bool,
) -> History:
    """Rows of a book on a ticks topic, numbered anew, as a book of another name with the same settings.

    source: the book on the topic, None for the only one there; start and end: event times as a person gives them.
    Raises InputError for what is no time, SettingsError where there is no such book, or no row in that time.
    """
    low, high = parse_moment(start, "--from"), parse_moment(end, "--to")
    return asyncio.run(_of_topic(settings, source, book, low, high, lockstep))


async def _of_topic(
    settings: KafkaSettings, source: str | None, book: str, low: int | None, high: int | None, lockstep: bool
) -> History:
    partitions = await layout.check(settings)
    books = await known_books(settings, partitions, source)
    names = ", ".join(sorted(books)) or "none"
    if source is None and len(books) == 1:
        source = next(iter(books))
    if source is None or source not in books:
        raise SettingsError(f"name the book to replay with --from-book: {settings.topic(TICKS)} has {names}")
    batches, rows = [], 0
    async for batch in ticks_of(settings, partitions, source):
        keep = np.ones(len(batch), bool)
        keep &= True if low is None else batch.ts >= low
        keep &= True if high is None else batch.ts < high
        at = np.flatnonzero(keep)
        if len(at) and at[-1] - at[0] + 1 == len(at):
            piece = cut(batch, int(at[0]), int(at[-1]) + 1)
            seq = np.arange(rows, rows + len(piece))
            batches.append(msgspec.structs.replace(piece, book=book, seq=seq))
            rows += len(piece)
    if not rows:
        raise SettingsError(f"book {source} has no rows in that time: widen --from and --to")
    return History(opening(book, books[source].opened.config, lockstep), lambda: iter(batches), rows)


async def ticks_of(settings: KafkaSettings, partitions: int, book: str) -> AsyncIterator[Ticks]:
    """Every row of a book on the ticks topic once, in order."""
    place = TopicPartition(settings.topic(TICKS), partition_of(book, partitions))
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, [place])
        reader.assign([place])
        reader.seek(place, first[place])
        done = 0
        while await reader.position(place) < ends[place]:
            for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                try:
                    event = from_json(record.value or b"")
                except WireError:
                    continue  # the workers wrote a dead letter of it
                if isinstance(event, Ticks) and event.book == book and event.last >= done:
                    yield cut(event, max(0, done - event.first), len(event))
                    done = event.last + 1
