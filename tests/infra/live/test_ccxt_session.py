"""Sessions on an exchange that is read over ccxt: through a break and a restart, to the report and its replay."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from cli_harness import files, windvane
from live_session import first_trade, market, running
from okx_exchange import okx

from windvane.infra.live.resuming import stopped
from windvane.infra.runs import journal

pytest.importorskip("ccxt.pro", reason="ccxt is missing: pip install 'windvane[live]'")

WHOLE = market(seconds=400)


async def command(url: str, out: Path) -> str:
    """`windvane live` in a process of its own, to its end; returns what it said."""
    words = ("live", "okx", "BTC/USDT", "--bars", "100ms", "--retraining", "off", "--duration", "3")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "windvane", *words, "--endpoint", url, "--out", str(out)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def test_the_command_leaves_a_report_and_a_recording_through_a_break(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def work() -> str:
        async with okx(WHOLE, speed=10) as exchange:
            running = asyncio.create_task(command(exchange.url, out))
            while not (out / "journal" / journal.FILE).is_file():
                assert not running.done(), await running
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            await exchange.drop()
            said = await running
            assert exchange.accepted == 2
            return said

    said = asyncio.run(work())
    assert "on paper: fee 15 bp" in said
    assert "are missing" not in said
    found = files(out)
    assert found.metrics["data"]["file"] == "okx BTC/USDT, live on paper"
    assert found.metrics["config"]["limits"]["long_only"]
    assert (out / "report.html").exists()
    left = stopped(out / "journal")
    assert left is not None
    first_trade(out, WHOLE, left.mark.trade)
    ran = windvane("replay", out, "--as-recorded", "--out", tmp_path / "again")
    assert ran.code == 0, ran


def test_a_session_goes_on_behind_its_last_trade(tmp_path: Path) -> None:
    """The latest trades that are listed reach back to it; nothing but their ids says what is missing."""

    async def work() -> list[int]:
        rows, firsts = 40, []
        async with okx(WHOLE, speed=4) as exchange:
            for _ in range(2):
                async with running(exchange.url, tmp_path, exchange="okx") as live:
                    await live.rows(rows)
                mark = live.session.book.mark
                rows = mark.seq + 60
                firsts.append(first_trade(tmp_path, WHOLE, mark.trade))
                assert live.session.gaps == 0, live.said.getvalue()
        return firsts

    first, after = asyncio.run(work())
    assert first == after
