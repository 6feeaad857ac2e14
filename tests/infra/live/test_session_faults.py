"""A session through faults of the exchange and stalls of its own: every trade is in a row, once, or in a told gap."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from cli_harness import windvane
from feed_harness import apart
from live_session import BAR, events, first_trade, market, plan, running

from windvane.infra.exchange.capture import load
from windvane.infra.exchange.faults import Fault
from windvane.infra.exchange.server import LocalExchange
from windvane.streams.events import HEARTBEAT, Ticks

WHOLE = market()
DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "lob_binance_usdm_btcusdt_20240808.parquet"


def test_breaks_garbage_and_duplicates_cost_no_trade(tmp_path: Path) -> None:
    async def work() -> int | None:
        async with (
            LocalExchange(WHOLE, speed=20) as exchange,
            running(exchange.url, tmp_path, plan()) as live,
        ):
            await live.rows(20)
            for fault in (
                Fault(0.0, "garbage", count=3),
                Fault(0.0, "lose", count=2),
                Fault(0.0, "duplicate", lasts=0.5),
                Fault(0.0, "drop"),
                Fault(0.0, "pause", lasts=0.5),
            ):
                await exchange.inject(fault)
                await live.rows(live.session.book.mark.seq + 60)
            assert live.session.gaps == 0
            counts = live.session.state()["feed"]
            assert counts["garbage"] >= 3
            assert counts["fetched"] > 0
        return live.session.book.mark.trade

    first_trade(tmp_path, WHOLE, asyncio.run(work()))
    ran = windvane("replay", tmp_path, "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here")
@pytest.mark.parametrize(
    "speed", [20.0, pytest.param(100.0, marks=pytest.mark.slow)]
)  # at 100x the capture is over in 3.5 s, which a busy machine needs to begin
def test_stalls_of_a_second_lose_nothing_of_a_real_market(speed: float, tmp_path: Path) -> None:
    whole = load([DATA])

    async def work() -> int | None:
        async with (
            LocalExchange(whole, speed=speed) as exchange,
            running(exchange.url, tmp_path, plan()) as live,
        ):
            await live.rows(10)
            for _ in range(2):
                time.sleep(1.0)  # the loop itself stands still, with the sockets of both ends
                await live.rows(live.session.book.mark.seq + 100)
            assert live.session.gaps == 0
        return live.session.book.mark.trade

    first_trade(tmp_path, whole, asyncio.run(work()))


@pytest.mark.parametrize("exchange", ["binanceusdm", "ccxt:binanceusdm"])
def test_time_that_passes_while_nobody_reads_closes_no_bar(exchange: str, tmp_path: Path) -> None:
    """Each bar of the market has two trades, and has them still where the loop stood still for forty bars."""

    async def work(url: str) -> int | None:
        async with running(url, tmp_path, exchange=exchange) as live:
            await live.rows(30)
            for _ in range(2):
                time.sleep(1.0)
                await live.rows(live.session.book.mark.seq + 60)
            assert live.session.rows.late == 0
        return live.session.book.mark.trade

    with apart(WHOLE, speed=4) as served:
        first_trade(tmp_path, WHOLE, asyncio.run(work(served.url)))
    assert (np.diff(ends(tmp_path)) == BAR).all()


def test_trades_that_wait_for_a_missing_one_come_into_their_bars(tmp_path: Path) -> None:
    """The exchange refuses for a second to list what was lost, and goes on sending meanwhile."""

    async def work() -> None:
        async with LocalExchange(WHOLE, speed=4) as exchange, running(exchange.url, tmp_path) as live:
            await live.rows(30)
            await exchange.inject(Fault(0.0, "refuse", where="rest", lasts=1.0))
            await exchange.inject(Fault(0.0, "lose", count=3))
            await live.rows(live.session.book.mark.seq + 60)
            assert live.session.state()["feed"]["fetched"] == 3
            assert live.session.rows.late == 0

    asyncio.run(work())
    assert (np.diff(ends(tmp_path)) == BAR).all()


def ends(out: Path) -> np.ndarray:
    """The ends of all bars, ns."""
    return np.concatenate([event.ts[event.flags & HEARTBEAT == 0] for event in events(out, Ticks)])
