"""Rows before the first live one: the exchange's bars or a file's, joined to the live trades without a hole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feed_harness import FIRST_ID, capture, read
from live_items import table

from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Item, Market, Trade
from windvane.infra.feeds.opening import open_feed
from windvane.infra.live.history import EXCHANGE, Wanted, Warmed, gather
from windvane.infra.live.rows import LiveRows
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.data.columns import Columns
from windvane.metamodel.data.sampler import BarSampler
from windvane.streams.events import Ticks

MINUTE = 60_000_000_000
SECOND = 1_000_000_000


def live(
    wanted: Wanted, exchange: str = "binanceusdm", begin: float = 1_000.0, seen: int = 60
) -> tuple[Warmed, list[Item], Market, list[int]]:
    """Open a feed, take some items, and gather the history before them; also what progress told."""
    told: list[int] = []

    async def work() -> tuple[Warmed, list[Item], Market]:
        whole = capture(exchange, seconds=2_000)
        async with LocalExchange(whole, begin=begin, speed=20) as served:
            feed = open_feed(exchange, "BTCUSDT", served.url)
            market = await feed.open()
            try:
                got = await read(feed, lambda r: len(r.ids) > seen)
                return await gather(feed, wanted, got.items, told.append), got.items, market
            finally:
                await feed.close()

    return *asyncio.run(work()), told


def wanted_bars(ids: range, interval: int, exchange: str = "binanceusdm") -> list[tuple]:
    """Bars of the capture's trades of these ids, as a backtest samples them: ts, price, size and buy_size."""
    t = capture(exchange, seconds=2_000).trades
    k = slice(ids.start - FIRST_ID, ids.stop - FIRST_ID)
    bought = np.where(t.buyer[k] == 1, t.qty[k], 0.0)
    bars = BarSampler(interval).push(Columns(t.ms[k] * 1_000_000, t.price[k], size=t.qty[k], buy_size=bought))
    assert bars.size is not None
    assert bars.buy_size is not None
    return [
        *zip(bars.ts.tolist(), bars.price.tolist(), bars.size.round(9), bars.buy_size.round(9), strict=True)
    ]


def plain(events: list[Ticks]) -> list[tuple]:
    out = []
    for ts, flags, *values in table(events):
        assert flags == 0
        named = dict(values)
        out.append((ts, named["price"], round(named["size"], 9), round(named["buy_size"], 9)))
    return out


@pytest.mark.parametrize(
    ("exchange", "interval"), [("binanceusdm", MINUTE), ("binance", SECOND), ("binance", 10 * MINUTE)]
)
def test_history_and_live_rows_are_the_bars_of_all_trades(exchange: str, interval: int) -> None:
    """Bars of ten minutes, which are not published, are made of minutes."""
    warmed, items, market, told = live(Wanted(EXCHANGE, interval, "main", rows=200), exchange, begin=1_900.0)
    rows = LiveRows(market, interval, "main", warmed.mark)
    rows.put([*warmed.missing, *items])
    last = [item for item in items if isinstance(item, Trade)][-1]
    after = rows.close_until(last.ts)
    got = plain([*warmed.ticks, *after])
    start = 0 if interval > SECOND else got[0][0] - interval
    everything = wanted_bars(range(FIRST_ID, last.id + 1), interval, exchange)
    assert got == [bar for bar in everything if bar[0] - interval >= start]
    assert len(got) > (1 if interval > MINUTE else 10)
    assert rows.mark.seq == len(got)
    assert not rows.letters
    assert told == sorted(told)
    assert told
    before = (
        warmed.mark.trade
    )  # a session that is killed before its first live bar asks for the trades after it
    assert before is not None
    assert (
        plain([*warmed.ticks])
        == wanted_bars(range(FIRST_ID, before + 2), interval, exchange)[-len(plain(warmed.ticks)) :]
    )


def test_quotes_and_sizes_of_live_seconds_stand_in_and_it_is_said() -> None:
    warmed, *_ = live(Wanted(EXCHANGE, MINUTE, "main"))
    ticks = warmed.ticks[0]
    half = 0.1 / 60_000.0
    assert ticks.ask is not None
    assert ticks.bid is not None
    assert np.allclose(ticks.ask / ticks.price - 1.0, half, rtol=1e-2)
    assert np.allclose(1.0 - ticks.bid / ticks.price, half, rtol=1e-2)
    np.testing.assert_array_equal(ticks.bid_size, ticks.ask_size)
    (said,) = warmed.notes
    assert "half spread" in said
    assert "0.0167 bp" in said


def test_a_file_goes_before_what_the_exchange_publishes(tmp_path: Path) -> None:
    """Without taker volume in the file, the book has none."""
    start = 1_700_000_040_000
    n = 10
    pd.DataFrame(
        {
            "timestamp": [start + k * 60_000 for k in range(-n, 3)],
            "open": 60_000.0, "high": 60_002.0, "low": 59_999.0, "close": 60_001.0, "volume": 5.0,
        }
    ).to_csv(tmp_path / "bars.csv", index=False)  # fmt: skip
    warmed, items, market, _ = live(Wanted(tmp_path / "bars.csv", MINUTE, "main", rows=50))
    steps = np.diff(np.concatenate([event.ts for event in warmed.ticks]))
    assert (steps == MINUTE).all()
    assert warmed.mark.seq == sum(len(event) for event in warmed.ticks)
    assert warmed.mark.seq > n + 10
    assert warmed.mark.columns == ("size", "bid", "ask", "bid_size", "ask_size")
    assert any("taker volume" in note for note in warmed.notes)
    assert any("bars of the exchange follow" in note for note in warmed.notes)
    rows = LiveRows(market, MINUTE, "main", warmed.mark)
    rows.put([*warmed.missing, *items])
    assert not rows.letters
    few, *_ = live(Wanted(tmp_path / "bars.csv", MINUTE, "main", rows=5))
    assert few.mark.seq == 5


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs bars"):
        live(Wanted(EXCHANGE, 0, "main"))
    with pytest.raises(ConfigError, match="no trade has come"):
        live(Wanted(EXCHANGE, MINUTE, "main"), seen=-1)
    with pytest.raises(FeedError, match="publishes no bars"):
        live(Wanted(EXCHANGE, SECOND, "main"))
    with pytest.raises(ConfigError, match="has no bar before"):
        live(Wanted(EXCHANGE, 15 * MINUTE, "main"), begin=0.0)
