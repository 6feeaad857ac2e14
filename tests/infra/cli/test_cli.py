"""The command line as a person meets it: help, exit codes, sentences, and files that do not depend on how."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cli_harness import backtest, refusal, simulated, windvane

from windvane.infra.runs import journal
from windvane.streams.events import Orders

RESULTS = ("orders.jsonl", "fills.jsonl", "decisions.parquet")
ROOT = Path(__file__).resolve().parents[3]
SCRIPT = Path(sys.executable).with_name("windvane")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("cli") / "market.parquet"
    simulated(file, 1_500, seed=11)
    return file


@pytest.fixture(scope="module")
def done(market: Path) -> Path:
    """A finished run of the market."""
    backtest(market, market.parent / "done")
    return market.parent / "done"


def same(first: Path, second: Path) -> None:
    for name in RESULTS:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("words", [["--help"], ["backtest", "-h"], ["replay", "--help"], ["simulate", "-h"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys; from windvane.infra.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "heavy = {'numba', 'numpy', 'pandas', 'pyarrow', 'torch', 'plotly', 'scipy', 'faust'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: " in done.stdout


def test_every_error_of_the_project_is_one_that_the_command_line_catches() -> None:
    bases: dict[str, str] = {}
    for layer in ("agents", "metamodel", "streams", "infra"):
        for path in (ROOT / layer).rglob("*.py"):
            bases.update(re.findall(r"^class (\w+Error)\((\w+)\):", path.read_text(), re.MULTILINE))
    roots = {name: base for name, base in bases.items() if base not in bases and not name.startswith("_")}
    # a check of the self-check that fails is its result, and no error of the user's
    assert roots == {"WindvaneError": "ValueError", "CheckError": "AssertionError"}
    assert len(bases) > 15


@pytest.mark.parametrize("command", ["backtest", "replay", "simulate"])
def test_help_gives_an_example(command: str) -> None:
    ran = windvane(command, "--help")
    assert ran.code == 0
    assert "Example" in ran.out
    assert f"windvane {command} " in ran.out.split("Example")[1]


def test_the_installed_script_answers() -> None:
    helped = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "Usage: windvane" in helped.stdout
    for command in ("backtest", "replay", "simulate", "doctor", "train"):
        assert command in helped.stdout
    wrong = subprocess.run([SCRIPT, "backtest", "nowhere.csv"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr == "windvane: nowhere.csv does not exist: check the path\n"


def test_doctor_is_content_here() -> None:
    ran = windvane("doctor")
    assert ran.code == 0
    assert "backtest, replay, simulate: ready" in ran.err


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("how", [("--batch", 1), ("--batch", 7), ("--wire",), ("--batch", 333, "--wire")])
def test_how_it_is_run_changes_no_byte(
    market: Path, done: Path, tmp_path_factory: pytest.TempPathFactory, how: tuple[object, ...], name: str
) -> None:
    out = tmp_path_factory.getbasetemp() / ("how" + "".join(map(str, how)))
    if not out.exists():
        backtest(market, out, *how)
    assert (out / name).read_bytes() == (done / name).read_bytes()


def test_the_same_command_twice_gives_the_same_files(market: Path, tmp_path: Path) -> None:
    first = backtest(market, tmp_path / "a")
    kept = {name: (tmp_path / "a" / name).read_bytes() for name in RESULTS}
    second = backtest(market, tmp_path / "a")
    assert {name: (tmp_path / "a" / name).read_bytes() for name in RESULTS} == kept
    assert first.metrics["series"] == second.metrics["series"]
    assert first.metrics["gain"] == second.metrics["gain"]


def test_json_is_all_there_is_on_stdout(market: Path, tmp_path: Path) -> None:
    ran = windvane("backtest", market, "--out", tmp_path, "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == json.loads((tmp_path / "metrics.json").read_bytes())
    again = windvane("replay", tmp_path, "--out", tmp_path / "again", "--json")
    assert again.code == 0
    assert json.loads(again.out)["series"] == json.loads(ran.out)["series"]


def test_metrics_hold_what_others_read(done: Path) -> None:
    found = json.loads((done / "metrics.json").read_bytes())
    assert {"file", "kind", "first", "last"} <= found["data"].keys()
    assert (found["data"]["file"], found["data"]["kind"]) == ("market.parquet", "simulated")
    assert (found["ticks"], found["rejected"]) == (1_500, 0)
    assert found["ticks_per_second"] == pytest.approx(found["ticks"] / found["pipeline_seconds"])
    rules = (
        "ema_momentum",
        "zscore_reversion",
        "donchian_breakout",
        "vol_trend",
        "jump_contrarian",
        "buy_and_hold",
    )
    series = {"ensemble", "equal_weights", "buy_and_hold", "best_agent_in_hindsight"}
    assert found["series"].keys() == series | {f"agent:{name}" for name in (*rules, "dqn", "ppo", "rainbow")}
    figures = {"sharpe", "max_drawdown", "days_won", "turnover_per_day", "total_return", "volatility"}
    for one in found["series"].values():
        assert figures <= one.keys()
        assert all(np.isfinite(one[name]) for name in figures)
    assert {"sharpe", "ci", "p"} <= found["gain"].keys()
    assert len(found["gain"]["ci"]) == 2
    assert {"p50", "p99"} <= found["latency_us"].keys()
    assert isinstance(found["verdicts"], dict)
    assert (done / "report.html").read_text().startswith("<!doctype html>")


def test_a_replay_is_the_run(done: Path, tmp_path: Path) -> None:
    for given, wire in ((done, ()), (done / "journal", ("--wire",))):
        ran = windvane("replay", given, "--out", tmp_path / "again", *wire)
        assert ran.code == 0
        assert "same to the last bit" in ran.err
        same(done, tmp_path / "again")


def test_a_replay_that_differs_is_code_1(done: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(done / "journal", changed)
    with journal.JournalWriter(changed) as writer:
        for topic, event in journal.read(done / "journal"):
            if isinstance(event, Orders):
                event.qty[0] *= 2.0
            writer.write(topic, event)
    ran = windvane("replay", changed, "--out", tmp_path / "again")
    assert ran.code == 1
    assert ran.err.startswith("the replay differs: orders, column qty, first at seq ")
    assert len(ran.err.splitlines()) == 1


def test_a_replay_keeps_its_journal_and_refuses_what_is_none(done: Path, tmp_path: Path) -> None:
    kept = (done / "journal" / "events.wvj").read_bytes()
    assert "choose another --out" in refusal(windvane("replay", done, "--out", done))
    assert (done / "journal" / "events.wvj").read_bytes() == kept
    assert "holds no journal" in refusal(windvane("replay", tmp_path, "--out", tmp_path / "x"))
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "events.wvj").write_bytes(b"junk")
    assert "not" in refusal(windvane("replay", tmp_path, "--out", tmp_path / "x"))


def test_a_full_journal_holds_more_and_replays(market: Path, done: Path, tmp_path: Path) -> None:
    backtest(market, tmp_path / "full", "--journal", "full")
    same(done, tmp_path / "full")
    size = (tmp_path / "full" / "journal" / "events.wvj").stat().st_size
    assert size > 2 * (done / "journal" / "events.wvj").stat().st_size
    assert windvane("replay", tmp_path / "full", "--out", tmp_path / "again").code == 0
    same(done, tmp_path / "again")


def test_from_and_to_cut_the_file(market: Path, tmp_path: Path) -> None:
    ts = pd.read_parquet(market).ts
    start, end = (pd.Timestamp(day).value for day in ("2020-01-03", "2020-01-12T06:00"))
    found = backtest(market, tmp_path, "--from", "2020-01-03", "--to", "2020-01-12T06:00")
    assert found.decisions.ts.tolist() == ts[(ts >= start) & (ts < end)].tolist()
    assert found.decisions.seq[0] == 0
    assert found.metrics["data"]["first"] == "2020-01-03T00:00:00.000000000Z"


@pytest.mark.parametrize("source", ["ticks", "trades", "bars"])
def test_bars_are_those_of_pandas(tmp_path: Path, source: str) -> None:
    rng = np.random.default_rng(5)
    n = 9_000
    seconds = 1_577_836_800 + np.arange(n) * 60 + (0 if source == "bars" else rng.integers(0, 60, n))
    price = np.round(7_000 * np.exp(np.cumsum(rng.normal(0, 1e-3, n))), 2)
    size = np.round(rng.uniform(0.1, 2, n), 3)
    table = pd.DataFrame({"ts": seconds * 1_000, "price": price, "size": size})
    if source == "trades":
        side = np.where(rng.random(n) < 0.5, "buy", "sell")
        table = table.rename(columns={"size": "qty"}).assign(trade_id=np.arange(n), side=side)
    elif source == "bars":
        table = table.rename(columns={"price": "close", "size": "volume"})
        table = table.assign(open=table.close, high=table.close, low=table.close)
    table.to_csv(tmp_path / "source.csv", index=False)
    found = backtest(tmp_path / "source.csv", tmp_path / "out", "--bars", "15m")
    stamps = pd.to_datetime(seconds, unit="s")
    expected = pd.Series(price, stamps).resample("15min", label="right", closed="left").last()
    if source != "bars":  # nobody knows whether the last one is whole
        expected = expected[:-1]
    assert found.decisions.ts.tolist() == expected.index.as_unit("ns").asi8.tolist()
    np.testing.assert_allclose(found.decisions.mid, expected)
    assert found.metrics["data"]["bars"] == "15m bars"
    assert found.metrics["rejected"] == 0


def test_ctrl_c_is_130_and_the_same_command_goes_on(market: Path, done: Path, tmp_path: Path) -> None:
    command = [SCRIPT, "backtest", market, "--out", tmp_path, "--batch", "1", "--retraining", "off"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    log = tmp_path / "journal" / "events.wvj"
    for _ in range(1200):
        if log.is_file() and log.stat().st_size > 20_000:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "run the same command again to go on" in err
    assert len(err.splitlines()) == 1
    ran = windvane("backtest", market, "--out", tmp_path)
    assert ran.code == 0
    assert "went on from row" in ran.err
    same(done, tmp_path)


def test_ctrl_c_while_kernels_load_is_not_lost(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loading() -> None:
        # A KeyboardInterrupt raised inside a callback of the compiler never reaches anyone.
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        except KeyboardInterrupt:
            pass

    monkeypatch.setattr("windvane.infra.runs.summary.prepare", loading)
    assert windvane("backtest", market, "--out", tmp_path).code == 130


def test_where_kernels_cannot_be_kept_every_run_compiles_anew() -> None:
    code = (
        "from numba.core.caching import NullCache\nfrom windvane.agents.kernel import kernel\n"
        "@kernel\ndef one_more(x):\n    return x + 1\n"
        "assert one_more(1) == 2 and isinstance(one_more._cache, NullCache)"
    )
    nowhere = {**os.environ, "WINDVANE_CACHE": "/dev/null/kernels"}
    nowhere.pop("NUMBA_CACHE_DIR", None)
    subprocess.run([sys.executable, "-c", code], env=nowhere, check=True)
    told = subprocess.run([SCRIPT, "doctor"], env=nowhere, capture_output=True, text=True)
    assert (told.returncode, "set WINDVANE_CACHE" in told.stderr) == (1, True)
