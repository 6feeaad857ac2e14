"""A session on paper against the local exchange: what it leaves, and how it goes on after every kind of end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_harness import files, refusal, windvane
from live_session import copy, events, first_trade, market, plan, run, running

from windvane.infra.exchange.faults import Fault
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.live.resuming import stopped
from windvane.infra.live.rows import Mark
from windvane.infra.runs import journal
from windvane.infra.runs.snapshots import RunError
from windvane.streams.events import BookClosed, BookOpened, Decisions, Ticks

WHOLE = market()


def as_recorded(out: Path, again: Path) -> str:
    """Replay a session as recorded, which must be equal to the last bit; returns what was said."""
    ran = windvane("replay", out, "--as-recorded", "--out", again)
    assert ran.code == 0, ran
    return ran.err


def test_a_session_is_a_recording_and_goes_on_where_it_was(tmp_path: Path) -> None:
    one = run(tmp_path / "out", 700, whole=WHOLE)
    last = one.book.mark.trade
    assert last is not None
    first = first_trade(tmp_path / "out", WHOLE, last)
    assert events(tmp_path / "out", BookClosed)
    as_recorded(tmp_path / "out", tmp_path / "again")

    async def go_on() -> int:
        # The exchange went on meanwhile, so what is missing is fetched.
        async with (
            LocalExchange(WHOLE, speed=40, begin=95) as exchange,
            running(exchange.url, tmp_path / "out") as live,
        ):
            await live.rows(one.book.mark.seq + 300)
        assert f"goes on from row {one.book.mark.seq:,}" in live.said.getvalue()
        return live.session.book.mark.trade

    last = asyncio.run(go_on())
    assert first_trade(tmp_path / "out", WHOLE, last) == first
    assert len(events(tmp_path / "out", BookClosed)) == 1
    as_recorded(tmp_path / "out", tmp_path / "again")
    found = files(tmp_path / "again")
    assert len(found.orders) > 0
    assert found.metrics["config"]["costs"]["fee_bp"] == 5.0
    assert any("funding" in note for note in found.metrics["notes"])
    assert any("paper" in note for note in found.metrics["notes"])
    ran = windvane("replay", tmp_path / "out", "--lockstep", "--out", tmp_path / "lockstep")
    assert ran.code == 0, ran
    assert ran.err == "with nobody late every decision, order and fill is the same\n"
    assert ran.err.strip() in files(tmp_path / "lockstep").metrics["notes"]
    both = windvane("replay", tmp_path / "out", "--lockstep", "--as-recorded", "--out", tmp_path / "x")
    assert refusal(both) == "give --as-recorded or --lockstep: they are two answers"


def test_a_session_that_is_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGKILL strikes processes of their own, anywhere; each goes on from snapshot and journal."""
    out, whole = tmp_path / "out", market(seconds=2000)

    async def kill() -> list[Mark]:
        marks: list[Mark] = []
        async with LocalExchange(whole, speed=20) as exchange:
            words = ["live", "binanceusdm", "BTCUSDT", "--bars", "100ms", "--out", str(out)]
            words += ["--endpoint", exchange.url, "--retraining", "off", "--snapshot-seconds", "0.3"]
            file = out / "journal" / journal.FILE
            for _ in range(2):
                size = file.stat().st_size if file.exists() else 0
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "windvane", *words), stderr=asyncio.subprocess.DEVNULL
                )
                while not file.exists() or file.stat().st_size < size + 40_000:
                    assert process.returncode is None
                    await asyncio.sleep(0.01)
                process.send_signal(signal.SIGKILL)
                await process.wait()
                left = stopped(out / "journal")
                assert left is not None
                marks.append(left.mark)
        return marks

    marks = asyncio.run(kill())
    ends = {first_trade(out, whole, mark.trade, mark.seq) for mark in marks}
    assert len(ends) == 1
    # What lies beyond the last mark was told to nobody; a replay of a run that was cut off leaves it out.
    info = json.loads((out / "journal" / "run.json").read_bytes())
    assert not info["finished"]
    as_recorded(out, tmp_path / "again")


def test_a_killed_session_and_its_restart_have_every_trade_once(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def work() -> None:
        async with LocalExchange(WHOLE, speed=40) as exchange:
            async with running(exchange.url, out, plan(snapshot_seconds=1000.0)) as live:
                await live.rows(400)
                copy(out, tmp_path / "killed")
            whole = live.session.book.mark
            async with running(exchange.url, tmp_path / "killed") as again:
                await again.rows(whole.seq)
        firsts = {first_trade(tmp_path / "killed", WHOLE, again.session.book.mark.trade)}
        firsts.add(first_trade(out, WHOLE, whole.trade))
        assert len(firsts) == 1

    asyncio.run(work())
    as_recorded(tmp_path / "killed", tmp_path / "again")


def test_a_session_of_other_options_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 5, whole=WHOLE)
    with pytest.raises(RunError, match="other data or options"):
        run(tmp_path, 5, whole=WHOLE, key={"book": "live", "live": ["binanceusdm", "BTCUSDT", "1s"]})


def test_silence_is_heartbeats_and_the_data_are_told_to_be_old(tmp_path: Path) -> None:
    async def work() -> None:
        async with LocalExchange(WHOLE) as exchange, running(exchange.url, tmp_path) as live:
            await live.rows(3)
            await exchange.inject(Fault(0.0, "pause", lasts=60.0))
            before = live.session.book.mark
            await live.until(lambda: live.session.state()["age_seconds"] > 2.5)
            assert live.session.book.mark.seq > before.seq

    asyncio.run(work())
    assert any(event.flags[0] & 1 for event in events(tmp_path, Ticks))


def test_a_file_a_utc_day_and_days_that_are_removed(tmp_path: Path) -> None:
    """The clock of the capture passes midnight; each file opens the book, and begins with a state of its own."""
    day = 86_400_000_000_000
    midnight = (WHOLE.at[0] // day + 1) * day
    whole = market(seconds=120, start=int(midnight) - 20_000_000_000)
    session = run(tmp_path / "out", 600, whole=whole)
    folder = tmp_path / "out" / "journal"
    (over,) = journal.days(folder)
    assert over.name == str(np.datetime64(int(midnight) - 1, "ns").astype("datetime64[D]"))
    assert len(events(tmp_path / "out", BookOpened)) == 2
    first_trade(tmp_path / "out", whole, session.book.mark.trade)
    rows = [event for _, event in journal.read(folder) if isinstance(event, Ticks)]
    yesterday = [event for _, _, event, _ in journal.records(over) if isinstance(event, Ticks)]
    assert max(int(event.ts[0]) for event in yesterday) <= midnight, (
        "what is committed at once stays together"
    )
    assert len(yesterday) < len(rows)
    as_recorded(tmp_path / "out", tmp_path / "again")
    for file in over.iterdir():
        file.unlink()
    over.rmdir()
    as_recorded(tmp_path / "out", tmp_path / "later")
    (left,) = {event.first for event in events(tmp_path / "later", Decisions)[:1]}
    assert left == len(np.concatenate([event.seq for event in yesterday]))
