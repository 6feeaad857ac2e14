"""Verifying: the bars of a live session beside those that the exchange publishes of the same time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Feed, Kline
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.rows import GAP, HEARTBEAT
from windvane.streams.events import Ticks

MINUTE = 60_000_000_000


class Difference(msgspec.Struct, frozen=True):
    """A bar that is not what the exchange says.

    ts: ns, its end. what: price, size or buy_size; missing where the session lacks the bar; extra where the exchange
    does. ours, theirs: the two values, None where there is none.
    """

    ts: int
    what: str
    ours: float | None
    theirs: float | None


class Verdict(msgspec.Struct, frozen=True):
    """compared: bars that both have. declared: bars beside gaps that the session had declared, which are left out.
    interval: ns of the bars that were compared.
    """

    compared: int
    declared: int
    interval: int
    differences: tuple[Difference, ...]


class Bars(NamedTuple):
    """n bars of a session."""

    ts: Ints  # (n,) ns, ends
    values: dict[str, Floats]  # (n,) price, and size and buy_size where the session has them
    gap: Ints  # (n,) 1 where trades are missing by the session's own account


async def verify(feed: Feed, ticks: Iterable[Ticks], interval: int, *, whole: bool = False) -> Verdict:
    """Compare a session with an exchange; price may differ by half a tick, sizes by half a lot, which is rounding.

    feed: of the same symbol, open. ticks: the rows of the session. interval: ns of a bar, 0 of a row a trade. whole:
    whether the first bar is, which it is after a warm-up; else it is left out. Where the exchange publishes no bars of
    this length, minutes are compared. Raises ConfigError where nothing can be compared, FeedError where the exchange
    cannot be asked.
    """
    rows = _bars(ticks)
    start = 0 if whole or not interval else 1
    rows = Bars(rows.ts[start:], {k: v[start:] for k, v in rows.values.items()}, rows.gap[start:])
    for length in (interval, MINUTE) if interval else (MINUTE,):
        ours = _coarser(rows, interval, length)
        if not len(ours.ts):
            raise ConfigError(
                "the session has no whole bar that could be compared: let it run for longer than two minutes"
            )
        try:
            theirs = await _published(feed, length, int(ours.ts[0]) - length, int(ours.ts[-1]))
        except FeedError:
            if length >= MINUTE or MINUTE % length:
                raise
            continue
        return _compared(ours, theirs, length, feed)
    raise AssertionError("never: a minute is the last length that is tried")


def _bars(ticks: Iterable[Ticks]) -> Bars:
    """The rows that are no heartbeats, with the columns that all have."""
    rows = [event for event in ticks if not int(np.bitwise_and.reduce(event.flags)) & HEARTBEAT]
    if not rows:
        raise ConfigError("the session has no row of the market: let it run for longer")
    good = [(event.flags & HEARTBEAT) == 0 for event in rows]
    names = ("price", "size", "buy_size")
    values = {
        name: np.concatenate([getattr(event, name)[mask] for event, mask in zip(rows, good, strict=True)])
        for name in names
        if all(getattr(event, name) is not None for event in rows)
    }
    ts, flags = (
        np.concatenate([getattr(event, name)[mask] for event, mask in zip(rows, good, strict=True)])
        for name in ("ts", "flags")
    )
    return Bars(ts, values, (flags & GAP != 0).astype(np.int64))


def _coarser(bars: Bars, interval: int, length: int) -> Bars:
    """Bars of `length` ns that lie wholly in the session."""
    if length == interval or not len(bars.ts):
        return bars
    bucket = (bars.ts - 1) // length if interval else bars.ts // length
    first = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
    ends = (bucket[first] + 1) * length
    inside = (ends - length >= bars.ts[0] - interval) & (ends <= bars.ts[-1])
    last = np.append(first[1:], len(bucket)) - 1
    values = {name: np.add.reduceat(column, first)[inside] for name, column in bars.values.items()}
    values["price"] = bars.values["price"][last][inside]
    return Bars(ends[inside], values, np.maximum.reduceat(bars.gap, first)[inside])


async def _published(feed: Feed, interval: int, since: int, until: int) -> dict[int, Kline]:
    """The exchange's bars in which anything was traded, by their ends."""
    found: dict[int, Kline] = {}
    async for page in feed.klines(interval, since, until):
        found |= {bar.ts + interval: bar for bar in page if bar.volume > 0.0}
    return found


def _compared(ours: Bars, theirs: dict[int, Kline], interval: int, feed: Feed) -> Verdict:
    rounding = {
        "price": 0.5 * feed.market.tick,
        "size": 0.5 * feed.market.lot,
        "buy_size": 0.5 * feed.market.lot,
    }
    found: list[Difference] = []
    compared = declared = 0
    for place, end in enumerate(ours.ts.tolist()):
        if ours.gap[place]:
            declared += 1
            continue
        kline = theirs.get(end)
        values = {name: float(column[place]) for name, column in ours.values.items()}
        if kline is None:
            found.append(Difference(end, "extra", values["price"], None))
            continue
        compared += 1
        wanted = {"price": kline.close, "size": kline.volume, "buy_size": kline.buy_volume}
        for name, value in values.items():
            their = wanted[name]
            if their is not None and abs(value - their) > rounding[name]:
                found.append(Difference(end, name, value, their))
    for end in sorted(theirs.keys() - set(ours.ts.tolist())):
        after = int(np.searchsorted(ours.ts, end))
        if ours.gap[max(after - 1, 0) : after + 1].any():
            declared += 1
        else:
            found.append(Difference(end, "missing", None, theirs[end].close))
    return Verdict(compared, declared, interval, tuple(sorted(found, key=lambda each: each.ts)))


def told(verdict: Verdict) -> str:
    """The differences as a table, and what was compared in a last line."""
    lines = []
    if verdict.differences:
        lines.append(f"{'bar that ends at':<24} {'what':<9} {'session':>16} {'exchange':>16}")
    for each in verdict.differences:
        moment = str(np.datetime64(each.ts, "ns").astype("datetime64[ms]"))
        values = ["-" if value is None else f"{value:.10g}" for value in (each.ours, each.theirs)]
        lines.append(f"{moment:<24} {each.what:<9} {values[0]:>16} {values[1]:>16}")
    beside = f", {verdict.declared:,} beside declared gaps are left out" if verdict.declared else ""
    bars = {each.ts for each in verdict.differences}
    lines.append(
        f"{verdict.compared:,} bars of {verdict.interval / 1e9:g} s compared: "
        f"{f'{len(bars):,} differ' if bars else 'all are the same'}{beside}"
    )
    return "\n".join(lines)
