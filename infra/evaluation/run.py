"""Seeds over the cores: one process a market, figures in the order of the seeds."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from windvane.infra.evaluation.rows import WARM, simulated
from windvane.infra.evaluation.table import Figures, figures
from windvane.metamodel.config import check
from windvane.metamodel.market import BAR, MARKETS

_TWO_DAYS = 2 * 86_400_000_000_000 // BAR


def one(market: str, seed: int, ticks: int, delay: int) -> Figures:
    """Figures of one seed."""
    return figures(simulated(market, seed, ticks, delay))


def over_seeds(
    market: str,
    seeds: Sequence[int],
    ticks: int,
    delay: int,
    jobs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Figures]:
    """Figures of every seed of a SIMULATED market; jobs: processes, by default one a core."""
    check(market in MARKETS, f"unknown market {market!r}: markets are {', '.join(MARKETS)}")
    check(len(seeds) > 1, "one seed gives no error bar: give two or more, as --seeds 4000-4023")
    check(
        ticks >= _TWO_DAYS, f"--ticks is {ticks}: give {_TWO_DAYS} or more, two days after the first {WARM}"
    )
    workers = min(jobs or os.cpu_count() or 1, len(seeds))
    if workers == 1:
        found = []
        for done, seed in enumerate(seeds):
            found.append(one(market, seed, ticks, delay))
            progress(done + 1)
        return found
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        started = [pool.submit(one, market, seed, ticks, delay) for seed in seeds]
        for done, _ in enumerate(as_completed(started)):
            progress(done + 1)
        return [future.result() for future in started]
