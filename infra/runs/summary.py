"""The end of a run: its files are written, and a summary of the results is printed."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from windvane.infra.report import Facts, write_outputs
from windvane.infra.report.agents import strangers_here
from windvane.infra.runs.backtest import events, run_info
from windvane.infra.runs.files import naming
from windvane.infra.runs.progress import bar, say
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.learning.members import MEMBERS


def prepare() -> None:
    """Compile the kernels, or load them from the cache; says so where it takes a while."""
    from windvane.agents.kernel import compiled_before
    from windvane.infra.runs.warmup import warm_up

    if not compiled_before():
        say("first run of this version: compiling kernels, about a minute; later runs start at once")
    warm_up()


def finish(
    out: Path,
    config: TradingConfig,
    seconds: float,
    *,
    latency: dict[str, float] | None,
    as_json: bool,
) -> None:
    """Write the files of a finished run from its journal, and print a summary, or metrics.json with `as_json`.

    seconds: that the pipeline took; latency: of `measure`, microseconds, None where it was not measured.
    """
    info = run_info(out / "journal")
    facts = Facts(
        file=info["file"],
        kind=info["kind"],
        config=config,
        preset=info["preset"],
        members=MEMBERS,
        rejected=info["rejected"],
        notes=[*strangers_here(config, info["kind"]), *info["notes"], *info.get("lateness", ())],
        pipeline_seconds=seconds,
        latency_us=latency,
        bars=info["bars"],
        first_live=info.get("first_live", 0),
    )
    with bar("report", 1), naming(out):
        metrics = write_outputs(events(out / "journal"), out, facts)
    if as_json:
        sys.stdout.write((out / "metrics.json").read_text())
    else:
        _print_summary(metrics, out, strangers_here(config, info["kind"]))


def _print_summary(metrics: dict[str, Any], out: Path, strangers: Sequence[str]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    costs = metrics["config"]["costs"]
    console.print(
        f"[bold]{metrics['data']['kind'].upper()}[/bold] data, {escape(metrics['data']['file'])}, "
        f"{metrics['ticks']:,} ticks ({metrics['rejected']:,} rejected), "
        f"fee {costs.get('fee_bp', 1.0):g} bp, filled {costs.get('delay', 1)} tick(s) late, "
        f"{metrics['ticks_per_second']:,.0f} ticks/s"
    )
    table = Table(box=None, pad_edge=False)
    for column in ("", "Sharpe", "return", "max drawdown", "days won", "turnover/day"):
        table.add_column(column, justify="left" if not column else "right")
    for name, series in metrics["series"].items():
        table.add_row(
            name,
            _number(series["sharpe"], "{:.2f}"),
            _number(series["total_return"], "{:+.1%}"),
            _number(series["max_drawdown"], "{:.1%}"),
            _number(series["days_won"], "{:.1%}"),
            _number(series["turnover_per_day"], "{:.2f}"),
        )
    console.print(table)
    gain = metrics["gain"]
    if gain["ci"][0] is not None:
        low, high = gain["ci"]
        verdict = "" if low > 0 or high < 0 else ": not proven"
        console.print(
            f"Sharpe gain over equal weights {gain['sharpe']:+.2f}, 95 % interval {low:.2f} to {high:.2f}{verdict}"
        )
    for sentence in strangers:
        console.print(f"note: {sentence}", markup=False)
    console.print(f"report: {out / 'report.html'}", markup=False)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
