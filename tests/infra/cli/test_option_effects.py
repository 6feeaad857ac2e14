"""No option of a command is decoration: each arrives where it is to, or a test is named that shows what it does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer
from cli_harness import files, refusal, simulated, windvane

from windvane.infra.cli.main import app
from windvane.infra.evaluation.rows import from_file
from windvane.metamodel.base.config import Costs

READING = (
    "--columns",
    "--stamp",
    "--symbol-column",
    "--side-codes",
    "--decimal",
    "--encoding",
    "--layout",
    "--max-rejected",
)
"""The options that say how a file is read, the same for each command that reads one."""

TESTS = Path(__file__).resolve().parents[2]

BACKTEST: dict[str, tuple[Any, list[str], Any]] = {
    "--book": ("mine", ["book"], "mine"),
    "--symbol": ("ETHUSD", ["config", "symbol"], "ETHUSD"),
    "--bars": ("30m", ["data", "bars"], "30m bars"),
    "--agents": ("vol_trend,buy_and_hold", ["config", "agents"], ["vol_trend", "buy_and_hold"]),
    "--preset": ("conservative", ["config", "weighing", "max_agent_weight"], 0.4),
    "--fee-bp": (2.0, ["config", "costs", "fee_bp"], 2.0),
    "--slippage-bp": (0.5, ["config", "costs", "slippage_bp"], 0.5),
    "--half-spread-bp": (3.0, ["config", "costs", "half_spread_bp"], 3.0),
    "--participation": (0.5, ["config", "costs", "participation"], 0.5),
    "--delay": (2, ["config", "costs", "delay"], 2),
    "--capital": (5e5, ["config", "capital"], 5e5),
    "--from": ("2020-01-02", ["data", "first"], "2020-01-02T00:30:00.000000000Z"),
    "--to": ("2020-01-16", ["data", "last"], "2020-01-15T23:30:00.000000000Z"),
    "--seed": (9, ["config", "seed"], 9),
    "--on-halt": ("stop", ["config", "on_halt"], "stop"),
    "--retraining": ("off", ["config", "weighing", "retraining"], False),
    "--long-only": (None, ["config", "limits", "long_only"], True),
    "--journal": ("full", ["full"], True),
}
"""A value, None of a switch, and where it is told in metrics.json or run.json.

What it changes: tests/streams/test_config_effects.py.
"""

SHOWN: dict[str, dict[str, str]] = {
    "backtest": {
        "--shadow": "infra/runs/test_foreign_runs.py",
        "--batch": "infra/cli/test_cli.py",  # changes speed, and never a byte
        "--wire": "infra/cli/test_cli.py",
        "--out": "infra/cli/test_cli.py",
        "--json": "infra/cli/test_cli.py",
        **dict.fromkeys(READING, "infra/cli/test_inspect.py"),
    },
    "agents init": {"--in": "infra/cli/test_agents_command.py"},
    "agents convert": dict.fromkeys(
        (
            *("--out", "--algorithm", "--activation", "--features", "--scaled", "--raw", "--actions"),
            *("--mapping", "--max-position"),
        ),
        "infra/policies/test_conversion.py",
    ),
    "inspect": dict.fromkeys(
        ("--symbol", "--bars", "--from", "--to", "--json", *READING), "infra/cli/test_inspect.py"
    ),
    "evaluate": dict.fromkeys(
        ("--market", "--seeds", "--ticks", "--delay", "--file", "--retraining", "--jobs", "--out"),
        "infra/evaluation/test_evaluation.py",
    )
    | dict.fromkeys(
        ("--bars", "--fee-bp", "--half-spread-bp", "--max-rejected", "--agents"),
        "infra/cli/test_option_effects.py",
    ),
    "simulate": {
        **dict.fromkeys(("--ticks", "--seed", "--market", "--out"), "infra/cli_harness.py"),
        "--randomised": "infra/cli/test_option_effects.py",
    },
    "journal": dict.fromkeys(
        ("--bootstrap", "--prefix", "--book", "--from", "--to", "--out"), "kafka/test_timed_books.py"
    ),
    "orders": dict.fromkeys(
        ("--bootstrap", "--prefix", "--book", "--since", "--follow", "--until-idle", "--json"),
        "kafka/test_subscriber.py",
    ),
    "exchange": dict.fromkeys(
        ("--port", "--speed", "--begin", "--loop", "--faults"), "infra/cli/test_exchange.py"
    ),
    "feed": dict.fromkeys(
        (
            *(
                "--book",
                "--bars",
                "--endpoint",
                "--duration",
                "--bootstrap",
                "--prefix",
                "--agents",
                "--shadow",
                "--preset",
            ),
            *("--fee-bp", "--lot", "--least-order", "--slippage-bp", "--half-spread-bp", "--participation"),
            *("--delay", "--capital", "--seed", "--on-halt", "--retraining", "--long-only"),
        ),
        "kafka/test_feed.py",
    )
    | dict.fromkeys(("--seats", "--keyed"), "infra/cli/test_seat_options.py"),
    "verify": dict.fromkeys(("--endpoint", "--json"), "infra/live/test_verify.py"),
    "schemas": {"--out": "infra/schemas/test_schemas.py"},
    "up": {
        **dict.fromkeys(("--bootstrap", "--prefix", "--state"), "kafka/test_workers.py"),
        **dict.fromkeys(("--binding", "--web-port"), "bench_kafka/rig.py"),
        "--agents": "infra/cli/test_option_effects.py",
    },
    "worker": dict.fromkeys(
        ("--bootstrap", "--prefix", "--state", "--binding", "--web-port"), "kafka/test_workers.py"
    )
    | {"--web-host": "infra/cli/test_option_effects.py", "--instance": "chaos/cluster.py"},
    "control": dict.fromkeys(
        ("--book", "--reason", "--from-seq", "--wait", "--bootstrap", "--prefix"), "kafka/test_controls.py"
    )
    | {"--model": "kafka/test_swapping.py", "--session": "infra/live/test_session_controls.py"}
    | {"--agent": "kafka/test_remote_agents.py"},
    "agents check": dict.fromkeys(
        ("--book", "--wait", "--bootstrap", "--prefix"), "kafka/test_remote_agents.py"
    ),
    "live": dict.fromkeys(
        (
            *("--bars", "--out", "--duration", "--endpoint", "--retraining", "--snapshot-seconds", "--json"),
            *("--book", "--agents", "--shadow", "--preset", "--fee-bp", "--lot", "--least-order"),
            "--slippage-bp",
            *("--half-spread-bp", "--participation", "--delay", "--capital", "--seed", "--on-halt"),
            *("--keep-days", "--record-raw", "--warmup", "--port", "--long-only"),
        ),
        "infra/live/test_live_command.py",
    )
    | {"--from-run": "infra/live/test_taking_over.py", "--seats": "infra/cli/test_seat_options.py"},
    "status": dict.fromkeys(
        ("--bootstrap", "--prefix", "--json", "--silence", "--behind"), "kafka/test_status.py"
    )
    | dict.fromkeys(("--book", "--all"), "kafka/test_summaries.py"),
    "cockpit": dict.fromkeys(("--bootstrap", "--prefix", "--host", "--port"), "kafka/test_cockpit_kafka.py"),
    "books list": dict.fromkeys(("--bootstrap", "--prefix", "--json"), "kafka/test_books.py"),
    "books close": dict.fromkeys(("--bootstrap", "--prefix", "--yes"), "kafka/test_books.py"),
    "books remove": dict.fromkeys(("--bootstrap", "--prefix", "--yes"), "kafka/test_books.py"),
    "topics create": dict.fromkeys(
        ("--bootstrap", "--prefix", "--partitions", "--replication"), "kafka/test_topics.py"
    ),
    "topics check": dict.fromkeys(("--bootstrap", "--prefix"), "kafka/test_topics.py"),
    "topics describe": dict.fromkeys(("--bootstrap", "--prefix"), "kafka/test_topics.py"),
    "topics dead-letters": dict.fromkeys(
        ("--bootstrap", "--prefix", "--book", "--last", "--json"), "kafka/test_topics.py"
    ),
    **{
        f"train {algorithm}": dict.fromkeys(
            (
                *("--simulated", "--data", "--bars", "--max-rejected", "--market", "--markets", "--ticks"),
                *("--steps", "--seed", "--environments", "--episode", "--every", "--patience", "--out"),
                *("--fee-bp", "--slippage-bp", "--half-spread-bp", "--delay", "--reward"),
                *("--configuration", "--set", "--folds"),
            ),
            "infra/policies/test_train_command.py",
        )
        for algorithm in ("dqn", "ppo", "rainbow")
    },
    "train regime": dict.fromkeys(("--out", "--epochs"), "infra/training/test_training.py"),
}
"""By command, the file below tests/ that uses an option."""

UNSEEN = {
    "status --watch": "it draws on a terminal until Ctrl-C",
    "train scaler --out": "takes minutes; what it writes is compared by whoever ships it",
    "train confidence --out": "takes minutes; what it writes is compared by whoever ships it",
    "train members --out": "takes minutes; what it writes is compared by whoever ships it",
}
"""Options that no test uses, and why."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Every command, and its options."""
    if hasattr(command, "commands"):
        for name, one in command.commands.items():
            yield from commands(one, (*path, name))
        return
    longest = (max(p.opts, key=len) for p in command.params)
    yield " ".join(path), [name for name in longest if name.startswith("--") and name != "--help"]


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_no_option_is_left_out() -> None:
    there = {f"{command} {name}" for command, names in COMMANDS.items() for name in names}
    shown = {f"{command} {name}" for command, names in SHOWN.items() for name in names}
    told = {f"backtest {name}" for name in BACKTEST} | shown | set(UNSEEN)
    assert {name for name in there if not name.startswith("replay ")} == told


@pytest.mark.parametrize("command", SHOWN)
def test_the_test_that_is_named_uses_the_option(command: str) -> None:
    for name, file in SHOWN[command].items():
        text = (TESTS / file).read_text()
        assert f'"{name}' in text, (command, name)
        assert f'"{command.split()[-1]}"' in text, (command, file)


def bare(file: Path, rows: int) -> Path:
    """A market without quotes."""
    whole = simulated(file.with_suffix(".parquet"), rows)
    whole[["ts", "price", "size"]].assign(ts=pd.to_datetime(whole["ts"])).to_csv(file, index=False)
    return file


def test_every_option_of_a_backtest_arrives(tmp_path: Path) -> None:
    market = bare(tmp_path / "m.csv", 1600)
    words = [word for name, (value, _, _) in BACKTEST.items() for word in (name, value) if word is not None]
    ran = windvane("backtest", market, "--out", tmp_path / "out", "--json", *words)
    assert ran.code == 0, ran
    found = files(tmp_path / "out")
    assert json.loads(ran.out) == found.metrics
    story = json.loads((tmp_path / "out" / "journal" / "run.json").read_bytes())
    assert len(found.orders) > 10
    told = {**found.metrics, "book": set(found.orders["book"]).pop(), "full": story["full"]}
    for name, (_, path, wanted) in BACKTEST.items():
        at: Any = told
        for part in path:
            at = at[part]
        assert at == wanted, name


def test_evaluate_takes_costs_and_bars_on_files_and_refuses_them_elsewhere(tmp_path: Path) -> None:
    market = bare(tmp_path / "m.csv", 1400)
    words = ("--bars", "30m", "--fee-bp", 5, "--half-spread-bp", 7, "--delay", 2)
    ran = windvane("evaluate", "--file", market, "--retraining", "off", *words, "--out", tmp_path)
    assert ran.code == 0, ran.err
    (title,) = {row["data"] for row in json.loads((tmp_path / "table.json").read_text())}
    assert title == "m.csv, 30m, fee 5 bp, half spread 7 bp, filled 2 tick(s) late"
    ran = windvane(
        "evaluate",
        "--file",
        market,
        "--retraining",
        "off",
        "--agents",
        "vol_trend,mine=ppo",
        "--out",
        tmp_path,
    )
    assert ran.code == 0, ran.err
    (title,) = {row["data"] for row in json.loads((tmp_path / "table.json").read_text())}
    assert title == "m.csv, as it is, fee 1 bp, filled 1 tick(s) late, agents vol_trend, mine=ppo"
    one, other = (from_file(market, "30m", Costs(half_spread_bp=half)).cost for half in (0.0, 7.0))
    assert other - one == pytest.approx(7e-4)
    on_none = ("--seeds", "1-2", "--ticks", "9", "--jobs", "2")
    said = refusal(windvane("evaluate", "--file", market, *on_none, "--out", tmp_path / "x"))
    assert said == "--seeds and --ticks and --jobs would have no effect on a file: leave it out"
    for word in ("--bars", "--fee-bp", "--half-spread-bp", "--max-rejected"):
        ran = windvane("evaluate", "--market", "null", word, "1", "--out", tmp_path / "x")
        assert refusal(ran) == f"{word} would have no effect on a simulated market: leave it out"
    assert not (tmp_path / "x").exists()


def test_evaluate_takes_a_file_with_as_many_rejected_rows_as_it_is_told(tmp_path: Path) -> None:
    market = bare(tmp_path / "m.csv", 1400)
    head, *rows = market.read_text().splitlines()
    spoilt = [line if k % 10 else line.replace(line.split(",")[1], "-1", 1) for k, line in enumerate(rows)]
    market.write_text("\n".join([head, *spoilt]) + "\n")
    words = ("evaluate", "--file", market, "--retraining", "off", "--out", tmp_path / "x")
    assert "--max-rejected" in refusal(windvane(*words))
    ran = windvane(*words, "--max-rejected", "20")
    assert ran.code == 0, ran.err


def test_a_market_like_those_of_training_is_another(tmp_path: Path) -> None:
    for name, words in (("a", ()), ("b", ("--randomised",))):
        assert windvane("simulate", "--ticks", 50, *words, "--out", tmp_path / f"{name}.parquet").code == 0
    assert not pq.read_table(tmp_path / "a.parquet").equals(pq.read_table(tmp_path / "b.parquet"))


def test_options_of_workers_that_cannot_be_are_refused_before_a_broker_is_asked() -> None:
    nowhere = ("--bootstrap", "127.0.0.1:1")
    assert "oracle" in refusal(windvane("up", "--agents", "oracle", *nowhere))
    off = ("--web-port", "none")
    said = refusal(windvane("worker", "features", "--web-host", "0.0.0.0", *off, *nowhere))  # noqa: S104
    assert said == "--web-host would have no effect with --web-port none: leave it out"
    assert (
        refusal(windvane("worker", "features", "--web-port", "x"))
        == "--web-port is 'x': give 1 to 65535, or none"
    )
