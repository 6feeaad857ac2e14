"""What tests of live rows share: items of a feed drawn by hypothesis, and rows put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from windvane.infra.feeds.feed import Gap, Item, Market, Quote, Trade
from windvane.infra.live.rows import LiveRows
from windvane.metamodel.base.rows import HEARTBEAT
from windvane.streams.events import Ticks

S = 1_000_000_000
MS = 1_000_000
T0 = 1_700_000_000 * S
MARKET = Market(
    *("binance", "BTC/USDT", "BTCUSDT", "BTC", "USDT", 0.01, 0.00001, 0.00001, 5.0, 10.0), perpetual=False
)

STEPS = (0, 0, 20, 30, 50, 200, 200, 700, 1_100, -40)
"""ms from one trade to the next; clocks of exchanges step back."""
_PRICES = (100.0, 100.5, 101.0, 99.0, 100.25)
_ODD = (301.0, 1.0, -1.0)


def trade(number: int, ts: int, price: float = 100.0, qty: float = 1.0, buyer: bool = True) -> Trade:
    return Trade(number, ts, price, qty, buyer, received=1)


def quote(ts: int, bid: float = 99.9, ask: float = 100.1) -> Quote:
    return Quote(ts, bid, ask, 2.0, 3.0, received=1)


@st.composite
def trades(
    draw: st.DrawFn, least: int = 1, odd: bool = True, pauses: bool = True, steps: tuple[int, ...] = STEPS
) -> list[Trade]:
    """Trades in the order of their ids; odd: absurd prices among them; pauses: minutes without a trade among them."""
    steps = draw(
        st.lists(st.sampled_from(STEPS + ((95_000,) if pauses else ())), min_size=least, max_size=80)
    )
    out, ts = [], T0
    for number, step in enumerate(steps):
        ts += step * MS
        price = draw(st.sampled_from(_PRICES * 6 + _ODD if odd else _PRICES))
        out.append(trade(1_000 + number, ts, price, float(draw(st.integers(1, 9))), draw(st.booleans())))
    return out


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    """A market: trades, quotes between them that may be crossed, and gaps in place of some trades."""
    out: list[Item] = []
    for each in draw(trades(steps=(*STEPS, -7_000))):
        kind = draw(st.sampled_from(("trade",) * 6 + ("both",) * 4 + ("gap", "crossed")))
        if kind == "gap":
            out.append(Gap(each.id, each.id, 0, 0, "not listed"))
            continue
        if kind != "trade":
            half = -0.1 if kind == "crossed" else draw(st.sampled_from((0.0, 0.05, 0.5)))
            out.append(quote(each.ts, 100.0 - half, 100.0 + half))
        out.append(each)
    return out


def chunked(whole: Sequence[Item], cuts: Iterable[int]) -> list[list[Item]]:
    """The items in pieces; cuts: positions."""
    edges = [0, *sorted({cut % (len(whole) + 1) for cut in cuts}), len(whole)]
    return [list(whole[a:b]) for a, b in pairwise(edges)]


class Played:
    """Rows of a live book as one table; time is that of the newest accepted trade, so that silence closes no bar."""

    def __init__(self, rows: LiveRows) -> None:
        self.rows = rows
        self.now = 0
        self.events: list[Ticks] = []

    def put(self, piece: Sequence[Item]) -> list[Ticks]:
        self.rows.put(piece)
        self.now = self.rows.last_ts
        out = self.rows.close_until(self.now) if self.now else []
        self.events += out
        return out

    def table(self, heartbeats: bool = False) -> list[tuple]:
        return table(self.events, heartbeats)


def table(events: Sequence[Ticks], heartbeats: bool = False) -> list[tuple]:
    """One tuple a row: ts, flags, price, and the optional columns that are there."""
    out = []
    for event in events:
        assert (np.diff(event.seq) == 1).all()
        for row in range(len(event)):
            if heartbeats or not event.flags[row] & HEARTBEAT:
                values = [
                    (name, float(column[row]))
                    for name in ("price", "size", "bid", "ask", "bid_size", "ask_size", "buy_size")
                    if (column := getattr(event, name)) is not None
                ]
                out.append((int(event.ts[row]), int(event.flags[row]), *values))
    return out
