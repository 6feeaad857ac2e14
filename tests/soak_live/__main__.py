"""`make soak-live`, or PYTHONPATH=tests python -m soak_live faults --speed 10."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from soak_live.accounts import account
from soak_live.processes import Session, SoakError, exchange
from windvane.infra.exchange.capture import load
from windvane.infra.runs.warmup import warm_up

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SPOT = "trades_binance_spot_btcusdt_20201101_2h.parquet"
FUTURES = "lob_binance_usdm_btcusdt_20240808.parquet"
GROWTH = 1.1
"""Times as much memory at the end as `SETTLED` seconds after the last start, at most."""
SETTLED = 120.0

FAULTS = (
    {"do": "drop"},
    {"do": "refuse", "status": 429, "retry_after": 2, "lasts": 2.0},
    {"do": "drop"},
    {"do": "garbage", "count": 20},
    {"do": "duplicate", "lasts": 5.0},
    {"do": "reorder", "lasts": 5.0},
    {"do": "half-open"},
    {"do": "lose", "count": 5},
    {"do": "refuse", "status": 503, "where": "rest", "lasts": 2.0},
    {"do": "lose", "count": 3},
    {"do": "pause", "lasts": 3.0},
    {"do": "refuse", "status": 418, "retry_after": 3, "lasts": 3.0},
    {"do": "drop"},
    {"do": "shutdown", "lasts": 3.0},
)
"""One after another, evenly spread over the time and then once more, while the market goes on."""

_AFTER = 5.0
"""Seconds after the end of the capture, for what is on its way."""

Data = Annotated[Path, typer.Option(help="Folder of the captures.")]

cli = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@cli.command()
def faults(
    speed: Annotated[float, typer.Option(help="Times as fast as it happened.")] = 10.0,
    begin: Annotated[float, typer.Option(help="Seconds into the capture.")] = 0.0,
    data: Data = DATA,
) -> None:
    """Two hours of a spot market with faults, stalls of a second and a kill -9: no trade is lost, memory is flat."""
    capture = _there(data / SPOT)
    whole = load([capture])
    seconds = ((int(whole.at[-1]) - int(whole.at[0])) / 1e9 - begin) / speed
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        out, said = Path(folder) / "out", Path(folder) / "said"
        script = Path(folder) / "faults.jsonl"
        script.write_text("\n".join(map(json.dumps, _script(seconds))))
        with exchange(capture, speed, "--begin", f"{begin:g}", "--faults", str(script)) as url:
            memory, feed = _through(
                seconds, out, said, ("binance", "BTC/USDT", "--bars", "1s", "--endpoint", url)
            )
        found = account(out, said.read_text(), whole)
        told = sum(last - first + 1 for first, last in found.gaps)
        _say(f"trades {found.first} to {found.last}: each in one of {found.bars:,} bars, or in a told gap")
        _say(
            f"{len(found.gaps)} gaps of {told} trades, {found.rejected} rejected, {found.beats:,} heartbeats"
        )
        _say(f"since the restart: {feed}")
        _say(f"memory {memory[0]:.0f} MB some minutes after the restart, {memory[1]:.0f} MB at the end")
        words = ("replay", str(out), "--as-recorded", "--out", str(Path(folder) / "again"))
        again = subprocess.run((sys.executable, "-m", "windvane", *words), capture_output=True, text=True)
        if again.returncode:
            raise SoakError(f"the replay as recorded differs: {again.stderr}")
        _say("the replay as recorded is equal")
        if memory[1] > GROWTH * memory[0]:
            raise SoakError(f"memory grew by more than {GROWTH - 1:.0%}")
        open_bar = whole.trades.ms[whole.trades.id > found.last] // 1000
        if len(set(open_bar.tolist())) > 1:
            raise SoakError(f"trades after {found.last} of more than the open second are in no row")
        _say(f"{len(open_bar)} trades are in the open bar: no trade follows that would close it")


def _script(seconds: float) -> list[dict[str, object]]:
    """Every fault twice, from the first twentieth of the time to the last."""
    twice = FAULTS * 2
    step = 0.9 * seconds / len(twice)
    return [{"at": round(0.05 * seconds + k * step, 3), **fault} for k, fault in enumerate(twice)]


def _through(
    seconds: float, out: Path, said: Path, words: tuple[str, ...]
) -> tuple[tuple[float, float], dict[str, int]]:
    """Run a session through the time with a stall a minute, killed at a third of it.

    Returns its memory in MB, two minutes after the restart and at the end, and the counts of its feed.
    """
    began = time.monotonic()
    session, killed, stalled = Session(out, said, *words), False, began
    settled, feed = 0.0, {}
    while (now := time.monotonic()) < began + seconds + _AFTER:
        time.sleep(1.0)
        state = session.state()
        if not killed and now > began + seconds / 3.0 and state is not None:
            session.kill()
            session, killed = Session(out, said, *words), True
        feed = feed if state is None else state["feed"]
        if state is not None and now > stalled + 60.0:
            session.stall(1.0)
            stalled = now
        if killed and not settled and now > session.began + min(SETTLED, seconds / 3.0):
            settled = session.rss
    last = session.rss
    session.end()
    return (settled, last), feed


@cli.command()
def processor(
    speed: Annotated[float, typer.Option(help="Times as fast as it happened.")] = 20.0,
    seconds: Annotated[float, typer.Option(help="Seconds to measure.")] = 60.0,
    data: Data = DATA,
) -> None:
    """What a session of a perpetual takes of a core, native and over ccxt."""
    capture = _there(data / FUTURES)
    warm_up()
    for name in ("binanceusdm", "ccxt:binanceusdm"):
        with tempfile.TemporaryDirectory() as folder, exchange(capture, speed, "--loop") as url:
            words = (name, "BTC/USDT:USDT", "--bars", "1s", "--endpoint", url)
            session = Session(Path(folder) / "out", Path(folder) / "said", *words)
            while (state := session.state()) is None or state["rows"] < 50:
                time.sleep(0.2)
            before, began, feed = session.processor, time.monotonic(), state["feed"]
            time.sleep(seconds)
            share = (session.processor - before) / (time.monotonic() - began)
            now = session.state() or state
            rate = {kind: (now["feed"][kind] - feed[kind]) / seconds for kind in ("trades", "quotes")}
            session.end()
            _say(
                f"{name} at {speed:g}x: {share:.1%} of a core, {rate['trades']:.0f} trades and "
                f"{rate['quotes']:.0f} quotes a second, {(now['rows'] - state['rows']) / seconds:.1f} rows a second"
            )


def _there(capture: Path) -> Path:
    """A capture; ends with a reason where it is not here."""
    if not capture.is_file():
        _say(f"skipped: {capture} is not here")
        raise typer.Exit
    return capture


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        cli()
    except SoakError as error:
        sys.exit(f"soak-live: {error}")
