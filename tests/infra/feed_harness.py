"""What tests of feeds share: a short capture, a feed that is read for a while, and the laws of what came out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import numpy as np
import pytest

from windvane.infra.exchange.capture import QUOTE, TRADE, Capture, Quotes, Trades
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.feed import Feed, Gap, Item, Note, Quote, Trade

START = 1_700_000_000_000_000_000
FIRST_ID = 5_000


def capture(
    exchange: str = "binanceusdm", seconds: float = 60.0, rate: float = 20.0, start: int = START
) -> Capture:
    """A market made by hand: `rate` trades a second, each followed by a quote; every value tells its place."""
    n = int(seconds * rate)
    k = np.arange(n)
    at = start + (k * (1e9 / rate)).astype(np.int64)
    ms = at // 1_000_000
    price = 60_000.0 + (k % 100) * 0.1
    trades = Trades(FIRST_ID + k, ms, price, 0.001 * (1 + k % 7), k % 2, np.stack([k, k], axis=1))
    quotes = Quotes(9_000 + k, ms, np.stack([price - 0.1, 1.0 + k % 3, price + 0.1, 2.0 + k % 3], axis=1))
    kind = np.tile([TRADE, QUOTE], n)
    return Capture(
        exchange, "BTCUSDT", "BTC", "USDT", trades, quotes, np.repeat(at, 2), kind, np.repeat(k, 2)
    )


@contextmanager
def apart(whole: Capture, **how: Any) -> Iterator[LocalExchange]:
    """A local exchange in a thread of its own, which goes on while the loop of the test stands still."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    exchange = LocalExchange(whole, **how)
    asyncio.run_coroutine_threadsafe(exchange.__aenter__(), loop).result(10.0)
    try:
        yield exchange
    finally:
        asyncio.run_coroutine_threadsafe(exchange.__aexit__(None, None, None), loop).result(10.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Read:
    """What a feed gave."""

    items: list[Item] = field(default_factory=list)

    def of(self, kind: type) -> list:
        return [item for item in self.items if isinstance(item, kind)]

    @property
    def ids(self) -> list[int]:
        return [trade.id for trade in self.of(Trade)]

    def notes(self, kind: str) -> list[Note]:
        return [note for note in self.of(Note) if note.kind == kind]


async def read(feed: Feed, until: Callable[[Read], bool], seconds: float = 20.0) -> Read:
    """Take items until they are enough; fails where that takes too long."""
    got = Read()
    end = time.monotonic() + seconds
    while not until(got):
        left = end - time.monotonic()
        assert left > 0, f"only {len(got.items)} items: {got.of(Note)[-5:]}, ids {got.ids[-3:]}"
        try:
            got.items += await asyncio.wait_for(feed.take(), min(left, 0.5))
        except TimeoutError:
            continue
    return got


def check(got: Read, whole: Capture) -> None:
    """The contract: every id from the first on is delivered or in a gap, in order, once, with the capture's values."""
    accounted: list[int] = []
    for item in got.items:
        if isinstance(item, Trade):
            accounted.append(item.id)
            k = item.id - int(whole.trades.id[0])
            assert item.price == whole.trades.price[k]
            assert item.qty == pytest.approx(whole.trades.qty[k], rel=1e-12)
            assert item.ts == whole.trades.ms[k] * 1_000_000
            assert item.buyer == bool(whole.trades.buyer[k])
        elif isinstance(item, Gap):
            accounted += range(item.first, item.last + 1)
    assert accounted == list(range(accounted[0], accounted[0] + len(accounted)))
    asked = {tuple(row) for row in whole.quotes.values.tolist()}
    for quote in got.of(Quote):
        assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) in asked
