"""A session that begins with a history: it learns on it, trades from the first live row on, and reports from there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from cli_harness import files, windvane
from live_session import Running, events, market, plan, running

from windvane.infra.exchange.server import LocalExchange
from windvane.infra.live.history import Wanted
from windvane.infra.live.taking_over import learned_by
from windvane.infra.runs.backtest import run_info
from windvane.infra.runs.summary import finish
from windvane.streams.events import Control, Decisions, Ticks

SECOND = 1_000_000_000
WHOLE = market(seconds=1000, rate=5, exchange="binance")


def session(out: Path, rows: int, source: str = "exchange", **changes: Any) -> Running:
    given = plan(
        interval=SECOND,
        key={"book": "live", "live": ["binance"]},
        bars="1s bars",
        config={"interval": SECOND},
        warmup=Wanted(source, SECOND, "live"),
        **changes,
    )

    async def work() -> Running:
        async with (
            LocalExchange(WHOLE, speed=10, begin=700) as exchange,
            running(exchange.url, out, given, exchange="binance") as live,
        ):
            await live.until(lambda: live.session.opened)
            await live.rows(live.session.first_live + rows)
        return live

    return asyncio.run(work())


def test_nothing_is_traded_before_the_first_live_row(tmp_path: Path) -> None:
    live = session(tmp_path, 60)
    first = live.session.first_live
    assert 650 < first < 760
    controls = events(tmp_path, Control)
    assert [(c.number, c.action, c.effective_from) for c in controls] == [
        (1, "halt", 0),
        (2, "resume", first),
    ]
    decisions = events(tmp_path, Decisions)
    states = np.concatenate([event.state for event in decisions])
    assert (states[:first] == 2).all()
    assert (states[first:] == 0).all()
    rows = events(tmp_path, Ticks)
    assert {event.bid is None for event in rows} == {False}
    times = np.concatenate([event.ts for event in rows])
    assert (np.diff(times[: first + 5]) > 0).all(), "history, the trades after it and live rows join"
    assert "nothing was traded" in live.said.getvalue()
    config = live.session.book.opened.config
    finish(tmp_path, config, 1.0, latency=live.session.latencies.told(), as_json=True)
    found = files(tmp_path)
    assert found.orders["seq"].min() >= first
    assert found.metrics["data"]["series_from"] > found.metrics["data"]["first"]
    assert any("stand in" in note for note in found.metrics["notes"])
    ran = windvane("replay", tmp_path, "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran
    assert len(pq.read_table(tmp_path / "again" / "decisions.parquet")) == len(times)


def test_it_goes_on_without_a_second_history(tmp_path: Path) -> None:
    before = session(tmp_path, 20).session
    after = session(tmp_path, before.book.mark.seq - before.first_live + 20).session
    assert after.first_live == before.first_live == run_info(tmp_path / "journal")["first_live"]
    assert len(events(tmp_path, Control)) == 2


def test_one_that_was_killed_over_its_history_begins_again(tmp_path: Path) -> None:
    before = session(tmp_path, 5).session
    path = tmp_path / "journal" / "run.json"
    path.write_text(path.read_text().replace('"warming": false', '"warming": true'))
    after = session(tmp_path, 5).session
    assert abs(after.first_live - before.first_live) < 30
    assert len(events(tmp_path, Control)) == 2


def test_what_another_run_has_learned_takes_the_place_of_what_the_history_taught(tmp_path: Path) -> None:
    before = session(tmp_path / "one", 60).session
    config = before.book.opened.config
    live = session(tmp_path / "two", 20, learned=learned_by(tmp_path / "one", config))
    first = live.session.first_live
    controls = events(tmp_path / "two", Control)
    assert [(c.number, c.action, c.effective_from) for c in controls] == [
        (1, "halt", 0),
        (2, "swap", first - 1),
        (3, "resume", first),
    ]
    decisions = events(tmp_path / "two", Decisions)
    states = np.concatenate([event.state for event in decisions])
    assert (states[:first] == 2).all()
    assert (states[first:] == 0).all()
    shares = np.concatenate([event.members for event in decisions])
    last = events(tmp_path / "one", Decisions)[-1].members[-1]
    assert np.abs(shares[first - 1] - last).max() < 0.1 * np.abs(shares[first - 2] - last).max()
    ran = windvane("replay", tmp_path / "two", "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran
