"""History: the rows of a live book before its first live one, from a file or from what the exchange publishes.

warmed = await gather(feed, Wanted("exchange", interval, "main"), items, progress)
...                                                  # send warmed.ticks, without trading on them
rows = LiveRows(market, interval, "main", warmed.mark)
rows.put([*warmed.missing, *items])                  # what lies between the last bar and the first live trade
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Feed, Gap, Item, Kline, Quote, Trade
from windvane.infra.files.market_data import load_market
from windvane.infra.files.reading import AS_RECOGNISED, Reading
from windvane.infra.live.rows import Mark
from windvane.infra.live.trade_rows import QUOTED
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.data.cleaning import SECOND, Cleaner
from windvane.metamodel.data.columns import OPTIONAL_FLOATS, Columns, concat
from windvane.metamodel.data.sampler import BarSampler, format_interval
from windvane.streams.events import Ticks

EXCHANGE = "exchange"
"""The word for the exchange's own bars in place of a file."""
ROWS = 8_192
"""Bars that are asked for where nothing else is said: the slowest windows take 8,000."""
_MINUTE = 60 * SECOND
_BATCH = 4_096
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """source: "exchange", or a file. interval: ns of a bar. rows: bars at most. reading: what a person says of the
    file.
    """

    source: str | Path
    interval: int
    book: str
    rows: int = ROWS
    reading: Reading = AS_RECOGNISED


@dataclass(frozen=True, slots=True)
class Warmed:
    """ticks: rows from seq 0. mark: where live rows go on. missing: trades, or a gap, between the two, for
    `LiveRows.put`. notes: what a person should know, one sentence each.
    """

    ticks: tuple[Ticks, ...]
    mark: Mark
    missing: tuple[Trade | Gap, ...]
    notes: tuple[str, ...]


async def gather(
    feed: Feed, wanted: Wanted, items: Sequence[Item], progress: Callable[[int], None] = lambda rows: None
) -> Warmed:
    """Return the rows before the first trade of `items`, what a feed that is open has given in its first seconds.

    Where a history has no quotes, the median half spread of the quotes in `items` stands in. progress: called with the
    rows so far. Raises ConfigError where there is no trade among items, or rows are no bars, InputError for a file that
    cannot be read, FeedError where the exchange does not publish such bars.
    """
    first = next((item for item in items if isinstance(item, Trade)), None)
    if first is None:
        raise ConfigError("no trade has come yet, so nobody knows where the history ends: wait for one")
    if not wanted.interval:
        raise ConfigError(
            "--warmup needs bars, and --bars none makes a row of each trade: give --bars 1m or the like"
        )
    quotes = [item for item in items if isinstance(item, Quote)] if feed.market.quotes else []
    columns, notes = await _rows(feed, wanted, first.ts, progress)
    if not len(columns):
        raise ConfigError(
            f"the history of {feed.market.symbol} has no bar before {first.ts}: leave --warmup out"
        )
    columns, said = _quoted(columns, quotes)
    ticks = tuple(_ticks(wanted.book, columns, at) for at in range(0, len(columns), _BATCH))
    end = int(columns.ts[-1])
    missing, lost = await _between(feed, end, first)
    oldest = next((item.id for item in missing if isinstance(item, Trade)), first.id)
    mark = Mark(len(columns), oldest - 1 if feed.market.dense else None, end, columns.present)
    return Warmed(ticks, mark, missing, (*notes, *said, *lost))


async def _rows(
    feed: Feed, wanted: Wanted, until: int, progress: Callable[[int], None]
) -> tuple[Columns, list[str]]:
    """The newest bars that end at `until` (ns) or before it, a file's and after those the exchange's."""
    interval = wanted.interval
    since = (until // interval - wanted.rows) * interval
    if wanted.source == EXCHANGE:
        return await _published(feed, interval, since, until, progress), []
    market = await asyncio.to_thread(
        load_market, Path(wanted.source), bars=format_interval(interval), reading=wanted.reading
    )
    columns = market.columns.take(market.columns.ts <= until)
    columns = Columns(columns.ts, columns.price, **_floats(columns))
    notes = [f"{market.file}: {note}" for note in market.notes]
    progress(len(columns))
    if len(columns) and int(columns.ts[-1]) + interval <= until:
        end = int(columns.ts[-1])
        newer = await _published(
            feed, interval, max(end, since), until, lambda rows: progress(rows + len(columns))
        )
        columns = _joined(columns, newer)
        notes.append(
            f"{market.file} ends before the session begins: {len(newer):,} bars of the exchange follow it"
        )
    return columns.take(slice(-wanted.rows, None)), notes


async def _published(
    feed: Feed, interval: int, since: int, until: int, progress: Callable[[int], None]
) -> Columns:
    """The exchange's bars in [since, until), or bars of its minutes where it has none of this length."""
    source = interval
    try:
        bars = await _pages(feed, source, since, until, progress)
    except FeedError:
        if interval <= _MINUTE or interval % _MINUTE:
            raise
        source = _MINUTE
        bars = await _pages(feed, source, since, until, progress)
    cleaned = Cleaner(bar_interval=source).clean(_of_klines(bars, source)).columns
    return cleaned if source == interval else BarSampler(interval, source).push(cleaned)


async def _pages(
    feed: Feed, interval: int, since: int, until: int, progress: Callable[[int], None]
) -> list[Kline]:
    bars: list[Kline] = []
    async for page in feed.klines(interval, since, until):
        bars += [bar for bar in page if bar.volume > 0.0]  # a live book has no row of a bar without a trade
        progress(len(bars))
    return bars


def _of_klines(bars: list[Kline], interval: int) -> Columns:
    """Bars as rows at their ends, with buy_size where the exchange says it of all."""
    bought = [bar.buy_volume for bar in bars if bar.buy_volume is not None]
    return Columns(
        np.array([bar.ts + interval for bar in bars], np.int64),
        np.array([bar.close for bar in bars], np.float64),
        size=np.array([bar.volume for bar in bars], np.float64),
        buy_size=np.array(bought, np.float64) if len(bought) == len(bars) else None,
    )


def _joined(older: Columns, newer: Columns) -> Columns:
    """Both, with the columns that both have: a book keeps its columns."""
    both = set(older.present) & set(newer.present) if len(newer) else set(older.present)
    parts = [part for part in (older, newer) if len(part)]
    return concat(
        [Columns(p.ts, p.price, **{k: v for k, v in _floats(p).items() if k in both}) for p in parts]
    )


def _floats(columns: Columns) -> dict[str, np.ndarray]:
    """The optional columns of numbers, by name; nobody knows the regime of a live market."""
    return {name: getattr(columns, name) for name in columns.present if name in OPTIONAL_FLOATS}


def _quoted(columns: Columns, quotes: Sequence[Quote]) -> tuple[Columns, list[str]]:
    """The rows with the quotes that a live book will have, and what a person is told of them."""
    told = (
        [] if columns.buy_size is not None else ["the history has no taker volume: this book does without it"]
    )
    if not quotes:
        rest = {name: column for name, column in _floats(columns).items() if name not in QUOTED}
        return Columns(columns.ts, columns.price, **rest), told
    if all(getattr(columns, name) is not None for name in QUOTED):
        return columns, told
    half = median((quote.ask - quote.bid) / (quote.ask + quote.bid) for quote in quotes)
    size = np.full(len(columns), median(0.5 * (quote.bid_size + quote.ask_size) for quote in quotes))
    values = _floats(columns) | {
        "bid": columns.price * (1.0 - half),
        "ask": columns.price * (1.0 + half),
        "bid_size": size,
        "ask_size": size.copy(),
    }
    told.append(
        f"the history has no quotes: its closes -+ {1e4 * half:.3g} bp stand in, the median half spread of "
        f"{len(quotes):,} live quotes"
    )
    return Columns(columns.ts, columns.price, **values), told


async def _between(feed: Feed, since: int, first: Trade) -> tuple[tuple[Trade | Gap, ...], list[str]]:
    """Trades from the end of the last bar (ns) up to the first live one, a gap where the exchange lacks some."""
    found = await feed.trades(since, first.ts + _MS)  # times are whole ms, and several trades share one
    trades: list[Trade | Gap] = [trade for trade in found if trade.id < first.id]
    last = trades[-1] if trades else None
    if not feed.market.dense or not isinstance(last, Trade) or last.id == first.id - 1:
        return tuple(trades), []
    reason = "the exchange does not list the trades before the first live one"
    trades.append(Gap(last.id + 1, first.id - 1, last.ts, first.ts, reason))
    return tuple(trades), [f"trades {last.id + 1} to {first.id - 1} are missing: {reason}"]


def _ticks(book: str, columns: Columns, at: int) -> Ticks:
    rows = columns.take(slice(at, at + _BATCH))
    n = len(rows)
    return Ticks(
        book=book,
        seq=np.arange(at, at + n),
        ts=rows.ts,
        flags=np.zeros(n, np.int64),
        price=rows.price,
        **_floats(rows),
    )
