"""What tests of live sessions share: a capture that moves, a plan of a quick book, and sessions that are run."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from feed_harness import START, capture

from windvane.infra.exchange.capture import Capture
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.feed import Market
from windvane.infra.feeds.opening import open_feed
from windvane.infra.live.plan import LivePlan
from windvane.infra.live.session import Session
from windvane.infra.live.telling import Teller
from windvane.infra.runs import journal
from windvane.metamodel.base.config import Costs, TradingConfig, WeighingConfig, default_stale_after
from windvane.streams.events import HEARTBEAT, Event, Ticks
from windvane.streams.stage import Trainer

BAR = 100_000_000
DEADLINE = 60.0


def market(
    seconds: float = 240.0,
    rate: float = 20.0,
    start: int = START,
    seed: int = 1,
    exchange: str = "binanceusdm",
) -> Capture:
    """A capture whose price walks, on the exchange's ticks of .1."""
    whole = capture(exchange, seconds=seconds, rate=rate, start=start)
    walk = np.random.default_rng(seed).normal(0.0, 2e-4, len(whole.trades.id)).cumsum()
    price = np.round(60_000.0 * np.exp(walk), 1)
    values = whole.quotes.values.copy()
    values[:, 0], values[:, 2] = np.round(price - 0.1, 1), np.round(price + 0.1, 1)
    return replace(
        whole, trades=replace(whole.trades, price=price), quotes=replace(whole.quotes, values=values)
    )


def settings(market: Market, price: float, **changes: Any) -> TradingConfig:
    usual: dict[str, Any] = {
        "symbol": market.symbol,
        "closing": "timed",
        "interval": BAR,
        "stale_after": default_stale_after(BAR),
        "agents": ("ema_momentum", "vol_trend", "buy_and_hold"),
        "costs": Costs(fee_bp=market.taker_bp),
        "lot": market.lot,
        "weighing": WeighingConfig(meta_training_frequency=3, learner_lag=7, retraining=False),
    }
    return TradingConfig(**usual | changes)


def plan(**changes: Any) -> LivePlan:
    config = changes.pop("config", {})
    usual: dict[str, Any] = {
        "book": "live",
        "key": {"book": "live", "live": ["binanceusdm", "BTCUSDT", "100ms"]},
        "interval": BAR,
        "bars": "100ms bars",
        "preset": "test",
        "configure": lambda market, price: settings(market, price, **config),
        "snapshot_seconds": 0.2,
    }
    return LivePlan(**usual | changes)


class Running:
    """A session under way, and what it has said."""

    def __init__(self, session: Session, said: io.StringIO) -> None:
        self.session = session
        self.said = said
        self.stop = False
        self.task = asyncio.create_task(session.run(lambda: self.stop))

    async def rows(self, count: int) -> None:
        """Wait until it has so many rows."""
        await self.until(lambda: self.session.opened and self.session.book.mark.seq >= count)

    async def until(self, there: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not there():
            if self.task.done():
                await self.task
            assert time.monotonic() < end, self.said.getvalue()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(
    url: str,
    out: Path,
    given: LivePlan | None = None,
    trainer: Trainer | None = None,
    exchange: str = "binanceusdm",
) -> AsyncIterator[Running]:
    """A session in this loop, which ends cleanly with the block."""
    said = io.StringIO()
    feed = open_feed(exchange, "BTCUSDT", url)
    session = Session(given or plan(), feed, out, trainer=trainer, teller=Teller(said))
    live = Running(session, said)
    try:
        yield live
    except BaseException:
        live.stop = True
        with contextlib.suppress(Exception):
            await live.task
        raise
    live.stop = True
    await live.task


def run(
    out: Path, rows: int, *, whole: Capture | None = None, speed: float = 40.0, **changes: Any
) -> Session:
    """A session on an exchange of its own until it has so many rows."""

    async def work() -> Session:
        async with (
            LocalExchange(whole or market(), speed=speed) as exchange,
            running(exchange.url, out, plan(**changes)) as live,
        ):
            await live.rows(rows)
        return live.session

    return asyncio.run(work())


def events(out: Path, kind: type[Event]) -> list[Any]:
    return [event for _, event in journal.read(out / "journal") if isinstance(event, kind)]


def first_trade(out: Path, whole: Capture, last: int | None, rows: int | None = None) -> int:
    """The trade from which on, up to `last`, the first `rows` rows of a journal hold each trade of a capture once.

    Quantities are above 0, so no other run of trades sums up to the same. Fails where there is no such trade, or where
    rows are not numbered without holes in the order of time.
    """
    seqs: list[int] = []
    times, size = [0], 0.0
    for event in events(out, Ticks):
        seqs += event.seq.tolist()
        good = (event.flags & HEARTBEAT == 0) & (event.seq < (rows or len(seqs)))
        if good.any():  # a heartbeat before the first trade has no size
            size += float(event.size[good].sum())
            times += event.ts[good].tolist()
    assert seqs == list(range(len(seqs)))
    assert times == sorted(times)
    assert last is not None
    before = np.concatenate([[0.0], whole.trades.qty.cumsum()])
    end = last + 1 - int(whole.trades.id[0])
    place = int(np.abs(before - (before[end] - size)).argmin())
    assert abs(before[end] - before[place] - size) < 1e-6, "trades were lost or doubled"
    return int(whole.trades.id[place])


def copy(out: Path, to: Path) -> None:
    """What a kill at this moment would leave on disk, with a torn record at the end of the journal."""
    (to / "journal").mkdir(parents=True)
    for path in (out / "journal").iterdir():
        if path.is_file():
            (to / "journal" / path.name).write_bytes(path.read_bytes())
    with (to / "journal" / journal.FILE).open("ab") as file:
        file.write(b"\x40\0\0\0torn")
