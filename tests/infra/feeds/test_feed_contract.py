"""One contract, two implementations: what comes out of a feed, whatever the exchange does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import pytest
from feed_harness import FIRST_ID, START, capture, check, read

from windvane.infra.exchange.capture import Capture
from windvane.infra.exchange.faults import Fault, Faults
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.dialling import BUDGET
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Feed, Gap, Quote, Trade
from windvane.infra.feeds.opening import open_feed

NATIVE = ("binance", "binanceusdm")
FEEDS = (*NATIVE, "ccxt:binance", "ccxt:binanceusdm")
every_feed = pytest.mark.parametrize("name", FEEDS)


def market_of(name: str, **how: float) -> Capture:
    return capture(name.removeprefix("ccxt:"), **how)


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        began = time.monotonic()
        await asyncio.wait_for(work, 60)
        assert time.monotonic() - began < 60, "something would not end"

    asyncio.run(limited())


def at(name: str, exchange: LocalExchange) -> Feed:
    return open_feed(name, "btc-usdt", exchange.url)


async def drained(feed: Feed) -> None:
    while True:
        await feed.take()


@every_feed
def test_trades_come_once_and_in_order_with_quotes_and_the_rules_of_the_symbol(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=400)
        async with LocalExchange(whole, speed=20) as exchange:
            feed = at(name, exchange)
            market = await feed.open()
            assert (market.native, market.base, market.quote) == ("BTCUSDT", "BTC", "USDT")
            assert market.lot == (0.001 if market.perpetual else 0.00001)
            assert market.least_notional == (100.0 if market.perpetual else 5.0)
            assert market.taker_bp == (5.0 if market.perpetual else 10.0)
            got = await read(feed, lambda r: len(r.ids) > 500 and len(r.of(Quote)) > 500)
            await feed.close()
            await feed.close()
            with pytest.raises(FeedError, match="closed"):
                await drained(feed)
        check(got, whole)
        assert not got.of(Gap)
        assert feed.counts.trades >= len(got.ids)

    run(work())


@every_feed
def test_what_breaks_is_dialled_again_and_what_was_missed_is_fetched(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=400)
        async with LocalExchange(whole, speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 20 and len(r.of(Quote)) > 20)
            connected = len(got.notes("connected"))
            await exchange.inject(Fault(0, "drop"))
            got.items += (await read(feed, lambda r: len(r.ids) > 100)).items
            assert len(got.notes("connected")) > connected
            got.items += (await read(feed, lambda r: len(r.ids) > 100)).items
            fetched = feed.counts.fetched
            assert fetched > 0
            await exchange.inject(Fault(0, "lose", count=5))
            got.items += (await read(feed, lambda r: feed.counts.fetched >= fetched + 5)).items
            await feed.close()
        check(got, whole)
        assert not got.of(Gap)

    run(work())


@every_feed
def test_garbage_duplicates_and_disorder_cost_no_connection(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=400)
        async with LocalExchange(whole, speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 20)
            for fault in (
                Fault(0, "garbage", count=3),
                Fault(0, "duplicate", lasts=60),
                Fault(0, "reorder", lasts=60),
            ):
                await exchange.inject(fault)
            got.items += (await read(feed, lambda r: len(r.ids) > 150)).items
            accepted = exchange.sockets.accepted
            await feed.close()
        check(got, whole)
        assert not got.of(Gap)
        assert accepted == feed.counts.dials <= 2
        assert feed.counts.duplicates > 50
        assert feed.counts.reordered > 0 or name.endswith(
            "binance"
        )  # there a trade changes places with a quote
        assert feed.counts.fetched == 0
        if name in NATIVE:
            assert feed.counts.garbage == 3 * accepted

    run(work())


@every_feed
def test_trades_that_nobody_lists_are_a_declared_gap(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=400)
        async with LocalExchange(whole, speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 20)
            await exchange.inject(Fault(0, "refuse", where="rest", status=404, lasts=60.0))
            await exchange.inject(Fault(0, "lose", count=4))
            got.items += (await read(feed, lambda r: bool(r.of(Gap)))).items
            await feed.close()
        check(got, whole)
        (gap,) = got.of(Gap)
        assert gap.last - gap.first == 3
        assert gap.since < gap.until
        assert "could not be fetched" in gap.reason

    run(work())


@every_feed
def test_a_session_goes_on_after_the_last_trade_that_it_had(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=200)
        async with LocalExchange(whole, begin=100.0) as exchange:
            feed = at(name, exchange)
            await feed.open(after=FIRST_ID + 499)
            got = await read(feed, lambda r: len(r.ids) > 1510)
            listed = await feed.trades(START + 10_000_000_000, START + 80_000_000_000)
            await feed.close()
        check(got, whole)
        assert got.ids[0] == FIRST_ID + 500
        assert [t.id for t in listed] == list(range(FIRST_ID + 200, FIRST_ID + 1600))

    run(work())


@every_feed
def test_bars_are_what_the_trades_come_to(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=300)
        minute = 60_000_000_000
        async with LocalExchange(whole, begin=290.0) as exchange:
            feed = at(name, exchange)
            first = -(-START // minute) * minute
            bars = [bar async for page in feed.klines(minute, first, first + 100 * minute) for bar in page]
            with pytest.raises(FeedError, match="publishes no bars of 7 s"):
                await anext(aiter(feed.klines(7_000_000_000, first, first + minute)))
            await feed.close()
        assert [bar.ts for bar in bars] == [first + k * minute for k in range(4)]
        t = whole.trades
        inside = (t.ms * 1_000_000 >= first) & (t.ms * 1_000_000 < first + minute)
        assert bars[0].volume == pytest.approx(t.qty[inside].sum())
        assert (bars[0].open, bars[0].close) == (t.price[inside][0], t.price[inside][-1])
        assert (bars[0].high, bars[0].low) == (t.price[inside].max(), t.price[inside].min())
        if name in NATIVE:
            assert bars[0].buy_volume == pytest.approx(t.qty[inside & (t.buyer == 1)].sum())
        else:
            assert bars[0].buy_volume is None

    run(work())


@every_feed
def test_the_offset_is_measured_and_time_goes_by_it(name: str) -> None:
    async def work() -> None:
        faults = Faults((Fault(0.0, "clock", seconds=-1.3, lasts=100.0),))
        async with LocalExchange(market_of(name), faults=faults) as exchange:
            feed = at(name, exchange)
            await feed.open()
            ahead = (feed.now() - exchange.market.now()) / 1e9
            got = await read(feed, lambda r: bool(r.notes("offset")))
            await feed.close()
        assert ahead == pytest.approx(-1.3, abs=0.3)
        assert feed.offset < 0
        assert got.notes("offset")[0].value == pytest.approx(feed.offset / 1e9, abs=2.0)
        assert "behind" in got.notes("offset")[0].text

    run(work())


@pytest.mark.parametrize("name", ["binanceusdm", pytest.param("ccxt:binanceusdm", marks=pytest.mark.slow)])
def test_a_socket_that_falls_silent_is_told_and_replaced(name: str) -> None:
    async def work() -> None:
        whole = market_of(name)
        async with LocalExchange(whole) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 5)
            await exchange.inject(Fault(0, "half-open"))
            got.items += (await read(feed, lambda r: bool(r.notes("silent")) and len(r.ids) > 100)).items
            await feed.close()
        check(got, whole)
        assert not got.of(Gap)
        assert 5.0 <= got.notes("silent")[0].value <= 6.0

    run(work())


@pytest.mark.parametrize("name", NATIVE)
def test_a_second_socket_takes_over_before_the_first_one_ends(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=400)
        async with LocalExchange(whole, speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 20)
            await exchange.inject(Fault(0, "shutdown", lasts=3.0))
            got.items += (await read(feed, lambda r: len(r.ids) > 800)).items
            await feed.close()
        check(got, whole)
        assert got.notes("rollover")
        assert feed.counts.fetched == 0
        quotes = [quote.ts for quote in got.of(Quote)]
        assert quotes == sorted(quotes)

    run(work())


@every_feed
@pytest.mark.parametrize(
    ("symbol", "sentence"),
    [
        ("BTCUSD", "did you mean BTC/USDT"),
        ("BTCUSDT,ETHUSDT", "one book trades one"),
        ("zz", "has no symbol"),
    ],
)
def test_a_symbol_that_is_not_there_is_said_with_the_nearest(name: str, symbol: str, sentence: str) -> None:
    async def work() -> None:
        async with LocalExchange(market_of(name)) as exchange:
            feed = open_feed(name, symbol, exchange.url)
            with pytest.raises(FeedError, match=sentence):
                await feed.open()
            await feed.close()

    run(work())


@every_feed
def test_a_server_that_refuses_handshakes_is_left_alone_for_as_long_as_it_says(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=400)
        async with LocalExchange(whole, speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 20)
            await exchange.inject(Fault(0, "refuse", where="sockets", status=429, retry_after=2, lasts=1.5))
            before = exchange.handshakes
            began = time.monotonic()
            await exchange.inject(Fault(0, "drop"))
            got.items += (await read(feed, lambda r: len(r.ids) > 100)).items
            assert time.monotonic() - began > 2.0
            await feed.close()
        check(got, whole)
        assert not got.of(Gap)
        assert exchange.handshakes - before <= 4

    run(work())


@pytest.mark.parametrize("name", ["binanceusdm", "ccxt:binanceusdm"])
def test_a_server_that_slams_the_door_is_not_stormed(name: str) -> None:
    async def work() -> None:
        async with LocalExchange(market_of(name, seconds=400), speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            await read(feed, lambda r: len(r.ids) > 5)
            await exchange.inject(Fault(0, "slam", lasts=60))
            await exchange.inject(Fault(0, "drop"))
            before = exchange.handshakes
            await asyncio.sleep(5.0)
            await feed.close()
        assert 1 <= exchange.handshakes - before <= BUDGET

    run(work())


@pytest.mark.parametrize("name", ["binanceusdm", "ccxt:binanceusdm"])
def test_what_was_missed_does_not_wait_for_the_next_trade(name: str) -> None:
    async def work() -> None:
        whole = market_of(name, seconds=20)
        async with LocalExchange(whole, speed=10) as exchange:
            feed = at(name, exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 20)
            await exchange.inject(Fault(0, "slam", lasts=0.8))
            await exchange.inject(Fault(0, "drop"))
            last = int(whole.trades.id[-1])
            got.items += (await read(feed, lambda r: bool(r.ids) and r.ids[-1] == last)).items
            await feed.close()
        check(got, whole)
        assert not got.of(Gap)

    run(work())


def test_a_consumer_that_stalls_loses_nothing() -> None:
    async def work() -> None:
        whole = market_of("binanceusdm", seconds=400)
        async with LocalExchange(whole, speed=20) as exchange:
            feed = at("binanceusdm", exchange)
            await feed.open()
            got = await read(feed, lambda r: len(r.ids) > 50)
            await asyncio.sleep(1.0)
            later = await read(feed, lambda r: len(r.ids) > 400)
            await feed.close()
        got.items += later.items
        check(got, whole)
        assert not got.of(Gap)
        assert all(trade.received > 0 for trade in got.of(Trade))

    run(work())


def test_names_and_addresses_that_cannot_be_are_refused() -> None:
    with pytest.raises(FeedError, match="give one of binance"):
        open_feed("nasdaq", "BTCUSDT")
    for endpoint in ("127.0.0.1:80", "ftp://x", "http://host/path"):
        with pytest.raises(FeedError, match="give scheme, host and port"):
            open_feed("binance", "BTCUSDT", endpoint)
