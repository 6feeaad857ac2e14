"""Evaluates many simulated markets on all cores, one process a market."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from windvane.agents.factory import AGENTS
from windvane.infra.evaluation.retrained import versions
from windvane.infra.evaluation.rows import WARM, Rows, simulated
from windvane.infra.evaluation.table import Figures, figures
from windvane.infra.training.trainer import trainer_for
from windvane.metamodel.base.config import TradingConfig, WeighingConfig, check
from windvane.metamodel.base.times import DAY
from windvane.metamodel.simulation.market import BAR, MARKETS

_TWO_DAYS = 2 * DAY // BAR


def one(
    market: str, seed: int, ticks: int, delay: int, retraining: bool, agents: Sequence[str] = tuple(AGENTS)
) -> Figures:
    """Return the figures of all methods on one simulated market; arguments as for `over_seeds`."""
    return compared(simulated(market, seed, ticks, delay, agents), retraining)


def compared(rows: Rows, retraining: bool, *, bootstrap: bool = False) -> Figures:
    """Return the figures of all methods on one market.

    retraining: whether the predictor is trained and takes part; bootstrap: whether each gain over equal weights has a
    bootstrap interval. Raises StateError where retraining needs torch and it is not installed.
    """
    weighing = WeighingConfig(retraining=retraining)
    with trainer_for(TradingConfig(agents=rows.agents, weighing=weighing)) as trainer:
        swaps = None if trainer is None else versions(rows, weighing, trainer)
    return figures(rows, swaps, bootstrap=bootstrap)


def over_seeds(
    market: str,
    seeds: Sequence[int],
    ticks: int,
    delay: int,
    retraining: bool = False,
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
    agents: Sequence[str] = tuple(AGENTS),
) -> list[Figures]:
    """Return the figures of all methods on the simulated market of each seed, in the order of the seeds.

    market: a name in `MARKETS`; ticks: rows that are scored; delay: good rows from decision to fill; retraining:
    whether the predictor is trained and takes part; jobs: number of processes, None is one a core; progress: called
    with the number of seeds done after each; agents: as `--agents` takes them. Raises ConfigError for an unknown
    market, fewer than two seeds, or fewer than two days of ticks.
    """
    check(market in MARKETS, f"unknown market {market!r}: markets are {', '.join(MARKETS)}")
    check(len(seeds) > 1, "one seed gives no error bar: give two or more, as --seeds 4000-4023")
    check(
        ticks >= _TWO_DAYS, f"--ticks is {ticks}: give {_TWO_DAYS} or more, two days after the first {WARM}"
    )
    workers = min(jobs or os.cpu_count() or 1, len(seeds))
    if workers == 1:
        by_seed = []
        for done, seed in enumerate(seeds):
            by_seed.append(one(market, seed, ticks, delay, retraining, agents))
            progress(done + 1)
        return by_seed
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        started = [pool.submit(one, market, seed, ticks, delay, retraining, tuple(agents)) for seed in seeds]
        for done, _ in enumerate(as_completed(started)):
            progress(done + 1)
        return [future.result() for future in started]
