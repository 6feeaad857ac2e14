"""What agents are worth to the ensemble, on SIMULATED markets: it trades with all of them, and without each.

`python -m windvane.infra.evaluation.marginal --market standard --seeds validation` prints the Sharpe ratios of the
default weights, each market paired with itself.
"""

import argparse
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from windvane.agents.base import Floats
from windvane.agents.factory import AGENTS, RULES
from windvane.infra.evaluation.books import books
from windvane.infra.evaluation.methods import mixture
from windvane.infra.evaluation.rows import Rows, simulated
from windvane.infra.runs.progress import bar
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.netting import follow
from windvane.metamodel.simulation.market import MARKETS
from windvane.metamodel.simulation.seeds import ALL

TICKS = 105_000


def teams(without: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The sets of agents that are compared, by name: all, the rules, and all without each of some."""
    everybody = tuple(AGENTS)
    fewer = {f"without {name}": tuple(a for a in everybody if a != name) for name in without}
    return {"all": everybody, "rules": tuple(RULES), **fewer}


def one(market: str, seed: int, ticks: int, without: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the Sharpe ratios on one market: of the ensemble for each of `teams`, and of each agent alone."""
    whole = simulated(market, seed, ticks, 0)
    targets = [_followed(_cut(whole, team)) for team in teams(without).values()]
    accounts = books(whole, np.column_stack([*targets, whole.target]))
    return accounts.sharpe[: len(targets)], accounts.sharpe[len(targets) :]


def _cut(rows: Rows, team: Sequence[str]) -> Rows:
    """The same market with some of its agents."""
    places = [rows.agents.index(name) for name in team]
    return rows._replace(target=np.ascontiguousarray(rows.target[:, places]), agents=tuple(team))


def _followed(rows: Rows) -> Floats:
    """The targets (n,) of the ensemble with its default settings, without the predictor."""
    plain = WeighingConfig()
    return np.asarray(follow(mixture(rows, np.array(plain.prior)), rows.target, plain.no_trade_band))


def over_seeds(
    market: str,
    seeds: Sequence[int],
    ticks: int = TICKS,
    without: Sequence[str] = tuple(AGENTS),
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Return mean Sharpe ratios over the seeds of a market, and differences with their paired standard errors.

    "all_less_rules" is what the policies that learned add to the rules; "worth" is what the ensemble of all would lose
    without an agent; "alone" the Sharpe ratio of following one agent. jobs: processes, None is one a core; progress:
    called with the number of seeds done after each.
    """
    with ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        started = [pool.submit(one, market, seed, ticks, without) for seed in seeds]
        for done, _ in enumerate(as_completed(started)):
            progress(done + 1)
    results = [future.result() for future in started]
    sharpe = dict(zip(teams(without), np.array([r[0] for r in results]).T, strict=True))
    alone = dict(zip(AGENTS, np.array([r[1] for r in results]).T, strict=True))
    return {
        "data": f"SIMULATED market {market}, {len(seeds)} seeds, {ticks} scored ticks each, filled at once",
        "all": _mean(sharpe["all"]),
        "rules": _mean(sharpe["rules"]),
        "all_less_rules": _mean(sharpe["all"] - sharpe["rules"]),
        "worth": {name: _mean(sharpe["all"] - sharpe[f"without {name}"]) for name in without},
        "alone": {name: _mean(values) for name, values in alone.items()},
    }


def _mean(values: Floats) -> dict[str, float]:
    """The mean over markets, and its standard error."""
    return {"mean": float(values.mean()), "se": float(values.std(ddof=1) / len(values) ** 0.5)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare as the command line says, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--markets", nargs="+", choices=list(MARKETS), default=list(MARKETS))
    parser.add_argument(
        "--seeds", choices=list(ALL), default="validation", help="a set of metamodel/simulation/seeds.py"
    )
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument("--without", nargs="*", choices=list(AGENTS), default=list(AGENTS))
    parser.add_argument("--jobs", type=int, help="processes")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    options = parser.parse_args(arguments)
    figures, table = (
        [],
        Table(title=f"SIMULATED markets, {options.seeds} seeds: Sharpe ratio +- its standard error"),
    )
    for heading in ("market", "all", "rules", "all less rules", *options.without):
        table.add_column(heading)
    for market in options.markets:
        with bar(market, len(ALL[options.seeds])) as progress:
            found = over_seeds(
                market, ALL[options.seeds], options.ticks, options.without, options.jobs, progress
            )
        figures.append(found)
        cells = [found["all"], found["rules"], found["all_less_rules"], *found["worth"].values()]
        table.add_row(market, *(f"{cell['mean']:.2f} +- {cell['se']:.2f}" for cell in cells))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
