"""Simulated markets as the data that models are trained and judged on: features of every row, and true regimes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.metamodel.features.extractor import NAMES, WARMUP, MarketFeatureExtractor
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.regimes.classifier import EVERY
from windvane.metamodel.simulation.market import simulate


class Labelled(NamedTuple):
    """The n rows of one simulated market, as features and true regimes."""

    x: Floats  # (n, 50) raw features
    regime: Ints  # (n,) true regime


class Seen(NamedTuple):
    """The n rows of one simulated market as the pipeline sees them, with the cost of trading one unit at each."""

    x: Floats  # (n, 50) raw features
    flags: Ints  # (n,)
    ts: Ints  # (n,) UNIX ns
    mid: Floats  # (n,)
    bid: Floats  # (n,)
    ask: Floats  # (n,)
    cost: Floats  # (n,) fee and half spread, a share of price
    regime: Ints  # (n,) true regime


def seen(market: str, ticks: int, seed: int, *, randomised: bool = False) -> Seen:
    """Simulate a market and return features, prices, costs and true regimes of its rows.

    market: a name in `MARKETS`; ticks: number of rows; randomised: whether its parameters are drawn anew from the seed.
    """
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
    """Simulate a market and return features and true regimes of its rows; the arguments are those of `seen`."""
    rows = seen(market, ticks, seed, randomised=randomised)
    return Labelled(rows.x, rows.regime)


class Sequences(NamedTuple):
    """The training data of a recurrent model: S markets with T updates each."""

    z: NDArray[np.float32]  # (S, T, F) scaled features at every update
    y: Ints  # (S, T) true regime


def sequences(
    features: Sequence[str],
    seeds: Sequence[int],
    ticks: int,
    scaler: FeatureScaler,
    progress: Callable[[int], None] = lambda done: None,
) -> Sequences:
    """Simulate a randomised standard market for each seed, and return every EVERY-th row after the warm-up.

    Those are the rows at which the classifier updates. features: names of the F columns; ticks: rows simulated a seed;
    progress: called with the number of markets done after each.
    """
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
