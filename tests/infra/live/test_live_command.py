"""`windvane live` as a process: it leaves the files of a backtest, every option arrives, and refusals are sentences."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_harness import files, refusal, windvane
from live_session import market

from windvane.infra.cli import doctor
from windvane.infra.exchange.capture import load
from windvane.infra.exchange.server import LocalExchange

WHOLE = market(seconds=2000)
WORDS = ("live", "binanceusdm", "BTC/USDT:USDT", "--bars", "100ms", "--retraining", "off")

OPTIONS = {
    "--book": ("mine", ["book"], "mine"),
    "--agents": ("vol_trend,buy_and_hold", ["config", "agents"], ["vol_trend", "buy_and_hold"]),
    "--shadow": ("s=ema_momentum", ["config", "shadows"], ["s"]),
    "--preset": ("conservative", ["config", "weighing", "max_agent_weight"], 0.4),
    "--fee-bp": ("2", ["config", "costs", "fee_bp"], 2.0),
    "--lot": ("0.01", ["config", "lot"], 0.01),
    "--least-order": ("600", ["config", "min_order"], 0.0012),
    "--slippage-bp": ("0.5", ["config", "costs", "slippage_bp"], 0.5),
    "--half-spread-bp": ("3", ["config", "costs", "half_spread_bp"], 3.0),
    "--participation": ("0.5", ["config", "costs", "participation"], 0.5),
    "--delay": ("2", ["config", "costs", "delay"], 2),
    "--capital": ("500000", ["config", "capital"], 5e5),
    "--seed": ("9", ["config", "seed"], 9),
    "--on-halt": ("stop", ["config", "on_halt"], "stop"),
}
"""A value, and where it is told in metrics.json or run.json."""


def live(url: str, *words: str) -> asyncio.Future[tuple[int, str, str]]:
    """The command in a process of its own."""

    async def ran() -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "windvane", *WORDS, "--endpoint", url, *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, said = await process.communicate()
        return process.returncode or 0, out.decode(), said.decode()

    return asyncio.ensure_future(ran())


def test_it_leaves_the_files_of_a_backtest_and_a_recording_that_can_be_served(tmp_path: Path) -> None:
    async def work() -> tuple[int, str, str]:
        async with LocalExchange(WHOLE, speed=40) as exchange:
            return await live(
                exchange.url,
                *("--duration", "4", "--out", str(tmp_path), "--json", "--record-raw", "0.05"),
                *("--snapshot-seconds", "0.5", "--keep-days", "2"),
            )

    code, out, said = asyncio.run(work())
    assert code == 0, said
    found = files(tmp_path)
    assert json.loads(out) == found.metrics
    assert found.metrics["data"]["kind"] == "real"
    assert found.metrics["latency_us"]["p50"] > 0
    assert found.metrics["config"]["costs"]["fee_bp"] == 5.0
    assert found.metrics["config"]["closing"] == "timed"
    assert "on paper: fee 5 bp, lot 0.001 BTC, least order 100 USDT" in said
    assert "the same command goes on" in said
    assert "frames came after --record-raw was full" in said
    assert (tmp_path / "report.html").exists()
    assert len(found.decisions) > 100
    served = load([tmp_path / "raw" / "0001.jsonl.gz"])
    assert served.native == "BTCUSDT"
    assert len(served.trades.id) > 50


def test_every_option_of_a_book_arrives(tmp_path: Path) -> None:
    words = [word for name, (value, _, _) in OPTIONS.items() for word in (name, value)]

    async def work() -> tuple[int, str, str]:
        async with LocalExchange(WHOLE, speed=40) as exchange:
            usual = ("--duration", "1", "--out", str(tmp_path), "--json", "--port", "0", "--long-only")
            return await live(exchange.url, *usual, *words)

    code, out, said = asyncio.run(work())
    assert code == 0, said
    assert "fee 2 bp, lot 0.01 BTC, least order 600 USDT, long only" in said
    assert "cockpit at http://127.0.0.1:" in said
    assert "token for the buttons: " in said
    told = {**json.loads(out), **json.loads((tmp_path / "journal" / "run.json").read_bytes())}
    arrived = OPTIONS | {"--long-only": ("", ["config", "limits", "long_only"], True)}
    for name, (_, path, wanted) in arrived.items():
        at = told
        for part in path:
            at = at[part]
        assert at == wanted, name


def test_a_spot_market_is_not_shorted(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            LocalExchange(market(seconds=2000, exchange="binance"), speed=40) as exchange,
            asyncio.timeout(60),
        ):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "windvane", "live", "binance", "BTCUSDT", *WORDS[3:]),
                *("--endpoint", exchange.url, "--duration", "1", "--out", str(tmp_path)),
                stderr=subprocess.DEVNULL,
            )
            assert await process.wait() == 0

    asyncio.run(work())
    assert json.loads((tmp_path / "metrics.json").read_bytes())["config"]["limits"]["long_only"]
    notes = json.loads((tmp_path / "journal" / "run.json").read_bytes())["notes"]
    assert "a spot market cannot be shorted: the position is never below 0" in notes


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--bars", "1 moon"), "is not an interval"),
        (("--duration", "0"), "--duration is 0"),
        (("--snapshot-seconds", "0"), "give 0.1 to 3600"),
        (("--record-raw", "0"), "give megabytes above 0"),
        (("--agents", "oracle"), "oracle"),
        (("--endpoint", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    assert sentence in refusal(windvane(*WORDS, "--out", tmp_path / "x", *words))


def test_a_capital_below_the_least_order_is_refused_when_the_price_is_known(tmp_path: Path) -> None:
    async def work() -> tuple[int, str, str]:
        async with LocalExchange(WHOLE, speed=10) as exchange:
            return await live(exchange.url, "--out", str(tmp_path), "--capital", "50")

    code, _, said = asyncio.run(work())
    assert code == 2
    assert "--capital is 50, less than the least order of 100: give more" in said


def test_a_history_is_asked_for_by_an_option(tmp_path: Path) -> None:
    said = refusal(windvane(*WORDS, "--warmup", "nowhere.csv", "--out", tmp_path / "x"))
    assert said == "--warmup is 'nowhere.csv': give exchange, or a market file"
    said = refusal(windvane(*WORDS, "--bars", "none", "--warmup", "exchange", "--out", tmp_path / "x"))
    assert said == "--warmup needs bars: give --bars 1m or the like"


def test_what_is_missing_is_the_extra_of_live_and_not_of_kafka(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_importable", lambda name: name != "aiohttp")
    said = refusal(windvane(*WORDS, "--out", tmp_path / "x"))
    assert said == "feeds of exchanges needs more libraries: pip install 'windvane[live]'"
