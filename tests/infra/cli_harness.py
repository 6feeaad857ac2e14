"""The console entry inside this process, and the files that it leaves."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pyarrow.parquet as pq

from windvane.infra.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str


def windvane(*words: object) -> Ran:
    """Run a command; only SystemExit ends it, so anything else is the traceback that a user would see.

    A backtest does not retrain unless it is told to: that would need torch.
    """
    if words[0] == "backtest" and "--retraining" not in words:
        words = (words[0], "--retraining", "off", *words[1:])
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = mock.patch.object(sys, "argv", ["windvane", *map(str, words)])
    with argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def refusal(ran: Ran) -> str:
    """The one sentence that a refused command says on stderr."""
    assert ran.code == 2, ran
    assert ran.out == ""
    lines = ran.err.strip().splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("windvane: ")
    assert "Traceback" not in lines[0]
    return lines[0].removeprefix("windvane: ")


@dataclass(frozen=True)
class Files:
    """What a run left."""

    decisions: pd.DataFrame
    orders: pd.DataFrame
    fills: pd.DataFrame
    letters: list[dict[str, Any]]
    metrics: dict[str, Any]


def files(folder: Path) -> Files:
    """Read the folder of a run."""
    return Files(
        pq.read_table(folder / "decisions.parquet").to_pandas(),
        pd.DataFrame(_lines(folder / "orders.jsonl")),
        pd.DataFrame(_lines(folder / "fills.jsonl")),
        _lines(folder / "dead_letters.jsonl"),
        json.loads((folder / "metrics.json").read_bytes()),
    )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def backtest(file: Path, out: Path, *options: object) -> Files:
    """A backtest that must work."""
    ran = windvane("backtest", file, "--out", out, *options)
    assert (ran.code, ran.err) == (0, ""), ran
    return files(out)


def simulated(file: Path, ticks: int, seed: int = 0, market: str = "standard") -> pd.DataFrame:
    """Write a simulated market and read it."""
    ran = windvane("simulate", "--ticks", ticks, "--seed", seed, "--market", market, "--out", file)
    assert ran.code == 0, ran
    return pq.read_table(file).to_pandas()
