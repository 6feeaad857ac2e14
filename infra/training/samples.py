"""Simulated markets as what a model is trained and judged on: features of every row, and the true regime."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.metamodel.features.extractor import NAMES, WARMUP, MarketFeatureExtractor
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.regimes.kernel import EVERY
from windvane.metamodel.simulation.market import simulate


class Labelled(NamedTuple):
    """Rows of one market."""

    x: Floats  # (n, 50) raw features
    regime: Ints  # (n,) true regime


class Seen(NamedTuple):
    """Rows of one market as the pipeline sees them, and what a unit traded costs at each."""

    x: Floats  # (n, 50) raw features
    flags: Ints  # (n,)
    ts: Ints  # (n,) UNIX ns
    mid: Floats  # (n,)
    bid: Floats  # (n,)
    ask: Floats  # (n,)
    cost: Floats  # (n,) fee and half spread, a share of price
    regime: Ints  # (n,) true regime


def seen(market: str, ticks: int, seed: int, *, randomised: bool = False) -> Seen:
    """Features, prices, costs and true regimes of a simulated market."""
    m = simulate(market, ticks, seed, randomised)
    rows = MarketFeatureExtractor(stale_after=10**18).step(
        m.ts,
        np.zeros(len(m.ts), np.int64),
        m.price,
        size=m.size,
        bid=m.bid,
        ask=m.ask,
        bid_size=m.bid_size,
        ask_size=m.ask_size,
        buy_size=m.buy_size,
    )
    cost = m.fee_bp * 1e-4 + (m.ask - m.bid) / (2.0 * rows.mid)
    return Seen(rows.x, rows.flags, m.ts, rows.mid, m.bid, m.ask, cost, m.regime)


def labelled(market: str, ticks: int, seed: int, *, randomised: bool = False) -> Labelled:
    """Features and true regimes of a simulated market."""
    rows = seen(market, ticks, seed, randomised=randomised)
    return Labelled(rows.x, rows.regime)


class Sequences(NamedTuple):
    """What a recurrent model is trained on: S markets, T updates each."""

    z: NDArray[np.float32]  # (S, T, F) scaled features at every update
    y: Ints  # (S, T) true regime


def sequences(
    features: Sequence[str],
    seeds: Sequence[int],
    ticks: int,
    scaler: FeatureScaler,
    progress: Callable[[int], None] = lambda done: None,
) -> Sequences:
    """Randomised standard markets, from the first row past the warm-up, every EVERY rows as the classifier updates."""
    columns = [NAMES.index(name) for name in features]
    updates = len(range(WARMUP, ticks, EVERY))
    z = np.empty((len(seeds), updates, len(columns)), np.float32)
    y = np.empty((len(seeds), updates), np.int64)
    for place, seed in enumerate(seeds):
        rows = labelled("standard", ticks, seed, randomised=True)
        z[place] = scaler.scale(rows.x[WARMUP::EVERY])[:, columns]
        y[place] = rows.regime[WARMUP::EVERY]
        progress(place + 1)
    return Sequences(z, y)
