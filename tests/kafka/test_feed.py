"""`windvane feed` on a real broker: killed, fenced, asked for a row by a control, and cut off from its broker."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiokafka import TopicPartition
from broker import Broker
from feed_harness import FIRST_ID, capture
from running import PARTITIONS, Process, put, records

from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.opening import open_feed
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.broker.signing import sign
from windvane.infra.kafka.tools.feeding import Feeding, feed_book
from windvane.infra.kafka.tools.tick_writer import HEADER, FeedingError, TickWriter, tail_of
from windvane.infra.live.rows import Mark
from windvane.metamodel.base.config import SECOND, TradingConfig
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import GAP, HEARTBEAT, BookClosed, BookOpened, Control, Ticks
from windvane.streams.topics import CONTROL, TICKS

BOOK = "fed"
CONFIG = TradingConfig(agents=("buy_and_hold",), closing="timed", interval=SECOND)
MARKET = capture(seconds=900)


async def fed(settings: KafkaSettings) -> tuple[list[Ticks], Mark]:
    """The rows of the book that are on the topic, and the mark of the last record."""
    place = TopicPartition(settings.topic(TICKS), partition_of(BOOK, PARTITIONS))
    found: list[Ticks] = []
    mark = Mark()
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, [place])
        reader.assign([place])
        reader.seek(place, first[place])
        while await reader.position(place) < ends[place]:
            for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
                event = from_json(record.value or b"")
                if isinstance(event, Ticks):
                    found.append(event)
                mark = msgspec.json.decode(dict(record.headers)[HEADER], type=Mark)
    return found, mark


async def until(what: str, there: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not await there():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        await asyncio.sleep(0.1)


def rows(settings: KafkaSettings, least: int) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        found, _ = await fed(settings)
        return sum(len(event) for event in found) >= least

    return there


def check(found: list[Ticks], mark: Mark) -> None:
    """Rows without a hole, and each trade of the capture from the first to the mark in one of them, once."""
    seqs = np.concatenate([event.seq for event in found])
    assert seqs.tolist() == list(range(mark.seq))
    sizes = np.concatenate([event.size for event in found if event.size is not None])
    flags = np.concatenate([event.flags for event in found])
    assert not (flags & GAP).any()
    ends = [int(ts) for event in found for ts, flag in zip(event.ts, event.flags, strict=True) if not flag]
    assert ends == sorted(set(ends)), "a bar came twice"
    first = next(
        k for k in range(len(MARKET.trades.id)) if MARKET.trades.ms[k] * 1_000_000 >= ends[0] - SECOND
    )
    last = mark.trade - FIRST_ID
    assert mark.trade is not None
    wanted = MARKET.trades.qty[: last + 1].sum()
    left_out = MARKET.trades.qty[: first + 20].sum()  # what went by before the first was read, at most a bar
    assert wanted - left_out - 1e-6 <= sizes.sum() <= wanted + 1e-6


def words(settings: KafkaSettings, url: str, *more: object) -> tuple[object, ...]:
    at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--endpoint", url)
    return (
        "feed",
        "binanceusdm",
        "btc-usdt",
        "--book",
        BOOK,
        "--bars",
        "1s",
        "--retraining",
        "off",
        *at,
        *more,
    )


def test_killed_again_and_again_it_loses_and_doubles_no_trade_and_a_second_feed_shuts_it_out(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    async def work() -> None:
        async with LocalExchange(MARKET, speed=10) as exchange:
            for least in (20, 60, 100):
                process = Process(tmp_path, *words(topics, exchange.url))
                try:
                    await until(f"{least} rows ({process.text[-1500:]})", rows(topics, least))
                finally:
                    os.kill(process.pid, signal.SIGKILL)
                    process.ended()
            first = Process(tmp_path, *words(topics, exchange.url))
            second = None
            try:
                have = sum(len(event) for event in (await fed(topics))[0])
                await until("rows of the first", rows(topics, have + 5))
                second = Process(tmp_path, *words(topics, exchange.url))
                assert await asyncio.to_thread(first.ended) == 2
                assert first.text.splitlines()[-1].startswith(f"windvane: another feed writes book {BOOK}")
                assert "Traceback" not in first.text
                have = sum(len(event) for event in (await fed(topics))[0])
                await until("rows of the second", rows(topics, have + 5))
                assert await asyncio.to_thread(second.stop) == 0
                assert "the same command goes on" in second.text
                assert "dqn, ppo, rainbow learned on SIMULATED markets" in second.text
            finally:
                for process in filter(None, (first, second)):
                    if process._process.poll() is None:
                        os.kill(process.pid, signal.SIGKILL)
                        process.ended()
            other = Process(tmp_path, *words(topics, exchange.url, "--delay", 3))
            assert await asyncio.to_thread(other.ended) == 2
            assert "was opened with other settings" in other.text
        check(*await fed(topics))

    asyncio.run(work())


def test_a_control_brings_a_row_at_once(topics: KafkaSettings) -> None:
    """Only one that is signed, where there is a key: bars of an hour would keep it waiting."""
    key = (topics.control_key or "").encode()
    quiet = capture(seconds=3600, rate=2.0)
    hourly = msgspec.structs.replace(CONFIG, interval=3600 * SECOND)

    async def work() -> None:
        stop = False
        async with LocalExchange(quiet) as exchange:
            feed = open_feed("binanceusdm", "BTCUSDT", exchange.url)
            feeding = Feeding(BOOK, hourly.interval, lambda market, price: hourly)
            running = asyncio.create_task(feed_book(topics, feeding, feed, lambda: stop))

            async def opened() -> bool:
                return bool(await records(topics, TICKS, partition_of(BOOK, PARTITIONS)))

            await until("the opening", opened)
            await asyncio.sleep(1.0)  # the watch begins at the end of its topic
            control = Control(book=BOOK, number=1, action="halt", effective_from=0, reason="")
            before = len((await fed(topics))[0])
            await put(topics, CONTROL, [to_json(control), b"garbage"], BOOK)
            await asyncio.sleep(1.0)
            assert len((await fed(topics))[0]) == before, "nobody has signed it"
            await put(topics, CONTROL, [to_json(sign(control, key, topics.prefix))], BOOK)
            await until("a row", rows(topics, before + 1), seconds=5.0)
            stop = True
            await running
        found, mark = await fed(topics)
        assert found[-1].flags.tolist() == [HEARTBEAT]
        assert mark.trade is None, "the bar is open still"

    asyncio.run(work())


@pytest.mark.slow
def test_a_broker_that_dies_is_waited_for(kafka_home: Path, tmp_path: Path) -> None:
    broker = Broker(kafka_home, tmp_path / "broker")
    broker.start()
    settings = KafkaSettings(bootstrap=broker.bootstrap, prefix="outage")

    async def work() -> None:
        stop = False
        await layout.create(settings, partitions=PARTITIONS)
        async with LocalExchange(MARKET, speed=10) as exchange:
            feed = open_feed("binanceusdm", "BTCUSDT", exchange.url)
            feeding = Feeding(BOOK, SECOND, lambda market, price: CONFIG)
            running = asyncio.create_task(feed_book(settings, feeding, feed, lambda: stop))
            await until("rows", rows(settings, 10))
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
            have = sum(len(event) for event in (await fed(settings))[0])
            await until("rows after it", rows(settings, have + 10))
            stop = True
            await asyncio.wait_for(running, 60)
        check(*await fed(settings))

    try:
        asyncio.run(work())
    finally:
        broker.stop()


def test_every_option_arrives_in_the_opening(topics: KafkaSettings, tmp_path: Path) -> None:
    more = {
        "--duration": 6, "--agents": "vol_trend,buy_and_hold", "--shadow": "s=ema_momentum",
        "--preset": "conservative", "--fee-bp": 2.0,
        "--lot": 0.5, "--least-order": 5_000.0, "--slippage-bp": 0.5, "--half-spread-bp": 3.0, "--participation": 0.5,
        "--delay": 2, "--capital": 5e5, "--seed": 9, "--on-halt": "stop", "--retraining": "off",
    }  # fmt: skip
    named = {
        "--book": "named", "--bars": "none", "--bootstrap": topics.bootstrap, "--prefix": topics.prefix,
    }  # fmt: skip

    async def work() -> None:
        async with LocalExchange(MARKET, speed=1) as exchange:
            options = {**named, "--endpoint": exchange.url, **more}
            process = Process(
                tmp_path,
                "feed",
                "binanceusdm",
                "BTCUSDT",
                *(word for pair in options.items() for word in pair),
                "--long-only",
            )
            assert await asyncio.to_thread(process.ended) == 0, process.text
            assert "fee 2 bp, lot 0.5 BTC, least order 5000 USDT, long only" in process.text
            assert "SIMULATED" not in process.text  # none of its agents learned on another market
        raws = await records(topics, TICKS, partition_of("named", PARTITIONS))
        opened, *rest = [from_json(raw) for raw in raws]
        assert isinstance(opened, BookOpened)
        config = opened.config
        assert (config.shadows, config.shadow_kinds) == (("s",), ("ema_momentum",))
        assert (config.symbol, config.closing, config.interval) == ("BTC/USDT:USDT", "timed", 0)
        assert config.agents == ("vol_trend", "buy_and_hold")
        assert config.weighing.max_agent_weight == 0.4
        assert (config.lot, config.min_order, config.capital) == (0.5, 0.01, 5e5)
        assert config.limits.long_only
        costs = config.costs
        assert (costs.fee_bp, costs.slippage_bp, costs.half_spread_bp) == (2.0, 0.5, 3.0)
        assert (costs.participation, costs.delay, config.seed, config.on_halt) == (0.5, 2, 9, "stop")
        assert sum(len(event) for event in rest if isinstance(event, Ticks)) > 10

    asyncio.run(work())


class TestTheTail:
    OPENING = to_json(BookOpened(book=BOOK, config=CONFIG, digest="d" * 64))

    def mark(self, settings: KafkaSettings) -> Mark | None:
        return asyncio.run(tail_of(settings, BOOK, partition_of(BOOK, PARTITIONS)))

    def test_of_a_book_that_is_not_there(self, topics: KafkaSettings) -> None:
        assert self.mark(topics) is None

    def test_far_behind_the_records_of_others_and_garbage(self, topics: KafkaSettings) -> None:
        one = np.zeros(1, np.int64)
        row = Ticks(book=BOOK, seq=one + 4, ts=one + 9, flags=one, price=np.ones(1), size=np.ones(1))
        asyncio.run(put(topics, TICKS, [self.OPENING, to_json(row), b"garbage"], BOOK))
        asyncio.run(put(topics, TICKS, [b"{}"] * 200, BOOK, key=b"another"))
        assert self.mark(topics) == Mark(5, None, 9, ("size",))

    def test_of_a_closed_book_is_refused(self, topics: KafkaSettings) -> None:
        asyncio.run(put(topics, TICKS, [self.OPENING, to_json(BookClosed(book=BOOK, last=-1))], BOOK))
        with pytest.raises(FeedingError, match="is closed"):
            self.mark(topics)

    def test_a_writer_that_is_shut_out_says_so(self, topics: KafkaSettings) -> None:
        async def work() -> None:
            first, second = (TickWriter(topics, BOOK, PARTITIONS) for _ in range(2))
            try:
                assert await first.start() is None
                await first.open(BookOpened(book=BOOK, config=CONFIG, digest="d" * 64))
                assert await second.start() == Mark()
                one = np.zeros(1, np.int64)
                row = Ticks(book=BOOK, seq=one, ts=one + 9, flags=one, price=np.ones(1))
                with pytest.raises(SettingsError, match="another feed writes book"):
                    await first.write([row], Mark(1, 1, 9, ()))
                await second.write([row], Mark(1, 1, 9, ()))
            finally:
                await first.close()
                await second.close()

        asyncio.run(work())
        assert self.mark(topics) == Mark(1, 1, 9, ())
