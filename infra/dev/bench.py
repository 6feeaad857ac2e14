"""`make bench`: speed, latency and memory of backtests and training on this machine.

Figures of two machines do not compare; compare those of two versions on one machine.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from windvane.infra.training.trainer import has_torch

if TYPE_CHECKING:
    from rich.console import Console

_BARS = "bars_1m_bitfinex_btcusd_2017_2019.parquet"
_SIZES = (100_000, 400_000, 1_600_000)


def _run(*words: str) -> tuple[float, float, str]:
    """Run a windvane command; returns its wall-clock seconds, its peak memory in MB, and its stdout."""
    began = time.monotonic()
    command = [sys.executable, "-c", "from windvane.infra.cli.main import main; main()", *words]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"windvane {' '.join(words)} failed")
        output.seek(0)
        return time.monotonic() - began, usage.ru_maxrss / 1024, output.read().decode()


def _backtest(file: Path, out: Path, *words: str) -> tuple[float, float, dict[str, dict[str, float]]]:
    """Run a backtest; returns its wall-clock seconds, its peak memory in MB, and its metrics."""
    seconds, memory, output = _run("backtest", str(file), "--out", str(out), "--json", *words)
    return seconds, memory, json.loads(output)


def _training(console: "Console") -> None:
    """Measure training in a process of its own and print it; the aims are over 20 steps/s and below 2 GB."""
    command = [sys.executable, "-m", "windvane.infra.dev.bench_training"]
    figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603
    console.print(
        "training: {predictor_steps_per_second:,.0f} steps/s of the predictor, all agents in one batch "
        "({version_ms:.0f} ms a version); {episode_steps_per_second:,.0f} ticks/s of a session's episodes, retraining "
        "with them; at most {parent_mb:.0f} MB, and {child_mb:.0f} MB of the trainer's process".format(
            **figures
        )
    )


def main() -> None:
    """Run all benchmarks, which takes minutes, and print the table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("what", "ticks", "ticks/s", "us/tick", "wall s", "MB", "n = 1 p50 us", "p99 us", box=None)

    def add(what: str, seconds: float, memory: float, figures: dict[str, dict[str, float]]) -> None:
        ticks, pipeline = float(figures["ticks"]), float(figures["pipeline_seconds"])  # type: ignore[arg-type]
        late = figures["latency_us"]
        table.add_row(
            what,
            f"{ticks:,.0f}",
            f"{ticks / pipeline:,.0f}",
            f"{1e6 * pipeline / ticks:.2f}",
            f"{seconds:.1f}",
            f"{memory:.0f}",
            f"{late['p50']:.0f}",
            f"{late['p99']:.0f}",
        )

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _run("--help")
        helping = min(_run("--help")[0] for _ in range(3))
        for ticks in _SIZES:
            file = home / f"{ticks}.parquet"
            _run("simulate", "--ticks", str(ticks), "--seed", "1", "--out", str(file))
            if ticks == _SIZES[0]:
                _backtest(file, home / "first")  # compiles the kernels, which is not measured
            add("simulated", *_backtest(file, home / "out"))
        real = Path(os.environ.get("WINDVANE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
        if (real / _BARS).is_file():
            add("real 1-minute bars", *_backtest(real / _BARS, home / "out"))
            add("through the wire", *_backtest(real / _BARS, home / "out", "--wire", "--to", "2017-07-01"))
            add("n = 1", *_backtest(real / _BARS, home / "out", "--batch", "1", "--to", "2017-03-01"))
        else:
            console.print(f"{_BARS} is not in {real}: set WINDVANE_DATA to the folder that holds it")
        tiny = home / "tiny.parquet"
        _run("simulate", "--ticks", "1000", "--out", str(tiny))
        start = _backtest(tiny, home / "out")[0]
        console.print(table)
        if has_torch():
            _training(console)
        console.print(
            f"windvane --help {helping:.2f} s; a backtest of 1,000 ticks, start to report, {start:.2f} s"
        )


if __name__ == "__main__":
    main()
