"""How long one row takes to compute through the whole pipeline, without a broker."""

import time

import numpy as np

from windvane.infra.files.market_data import MarketData
from windvane.infra.runs.backtest import Plan
from windvane.metamodel.base.config import digest
from windvane.metamodel.features.extractor import WARMUP
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookOpened
from windvane.streams.stage import Trainer
from windvane.streams.topology import bound

_ROWS = 3000


def measure(plan: Plan, market: MarketData, trainer: Trainer | None = None) -> dict[str, float] | None:
    """Median and 99th percentile, microseconds, of rows fed one at a time after the warm-up; None of too few rows."""
    rows = len(market.columns)
    warm = min(WARMUP + 64, rows // 2)
    upto = min(rows, warm + _ROWS)
    if upto - warm < 100:
        return None
    runner = EmbeddedRunner(topology=bound(plan.bindings), trainer=trainer)
    runner.feed([BookOpened(book=plan.book, config=plan.config, digest=digest(plan.config))])
    runner.feed([market.ticks(plan.book, 0, warm)])
    seconds = np.empty(upto - warm)
    for row in range(warm, upto):
        event = market.ticks(plan.book, row, row + 1)
        began = time.perf_counter()
        runner.feed([event])
        seconds[row - warm] = time.perf_counter() - began
    p50, p99 = np.percentile(seconds * 1e6, [50, 99])
    return {"p50": round(float(p50), 1), "p99": round(float(p99), 1)}
