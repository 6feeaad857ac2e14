"""The simulated market: seven regimes whose true labels are known.

It is what the regime classifier and the priors are trained on, and where a learner can be compared with an
oracle. Its edges are generous on purpose, so a figure measured on it is no evidence about any real market.

Regimes switch as a semi-Markov chain (Hamilton 1989; gamma dwell times as in Guedon 2003); within one, log
price has a drift, a pull to an anchor that follows it, a lag-1 term, Student-t noise under stochastic
volatility (Taylor 1986) and jumps that partly come back (Merton 1976).
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.regimes import BEAR, BREAKOUT, BULL, CRISIS, HIGH, LOW, REVERSAL
from windvane.metamodel.simulation import market_kernel as mk

BAR = 900_000_000_000
"""ns of a tick."""

FIRST = 1_577_837_700_000_000_000
"""ts of the first tick, the end of its bar: 2020-01-01T00:15Z."""

SHORTEST = 60
"""Ticks that a regime lasts at least."""


class MarketKind(NamedTuple):
    """How one named market differs from another."""

    edge: float  # multiplies all that can be predicted: drift, pull, lag-1, mean and aftermath of jumps
    fee_bp: float  # fee per unit traded
    swapped: bool  # trends revert and ranges trend


MARKETS = {
    "standard": MarketKind(1.0, 1.0, False),
    "mild": MarketKind(0.65, 0.3, False),
    "hard": MarketKind(0.5, 1.0, False),
    "swapped": MarketKind(1.0, 1.0, True),
    "null": MarketKind(0.0, 1.0, False),
}


class Mechanism(NamedTuple):
    """The dynamics of prices in one regime; each seed draws its own values around these."""

    drift: float  # sigma a tick, towards the regime's side
    vol: float  # sigma
    pull: float  # share of the distance to the anchor a tick
    lag: float  # lag-1 coefficient of returns
    jumps: float  # a tick
    jump_mean: float  # volatilities
    returns: float  # share of a jump that comes back over the next ticks
    volume: float  # times the usual
    spread: float  # half spread, bp
    dwell: float  # mean, ticks


# fmt: off
TABLE = (
    #         drift   vol   pull    lag   jumps  mean  back  vol. spread dwell
    Mechanism(.056,  .95,  .0,     .01,  .0010,  .0,   .2,  1.10,  .5,  1500),  # trending_bull
    Mechanism(.050, 1.00,  .0,     .01,  .0015,  .0,   .2,  1.20,  .6,  1200),  # trending_bear
    Mechanism(.0,   1.50,  .0055, -.01,  .0060,  .0,   .2,  1.25, 1.0,  1000),  # high_vol_range
    Mechanism(.0,    .50,  .0065, -.01,  .0010,  .0,   .2,   .65,  .5,  1500),  # low_vol_range
    Mechanism(.080, 1.25,  .0,     .03,  .0020,  .0,   .2,  1.80,  .7,   350),  # breakout
    Mechanism(.060, 1.25,  .0,    -.02,  .0030,  .0,   .2,  1.50,  .8,   350),  # reversal
    Mechanism(.050, 2.40,  .0,     .02,  .0120, -1.0, -.2,  2.60, 2.5,   400),  # crisis
)

# What follows a regime; after a breakout or a reversal whose side is down, the two trends change places. This
# table and the constants of the kernel are frozen: with them windvane.infra.evaluation.calibration finds, over seeds
# 1000 to 1023 of the standard market, Sharpe 1.2 for equal weights, 2.5 for the best agent, 6.3 for the
# oracle.
TRANSITIONS = np.array([  # to: bull, bear, high_vol, low_vol, breakout, reversal, crisis
    [.00, .00, .22, .28, .00, .34, .16],  # trending_bull
    [.00, .00, .30, .28, .00, .26, .16],  # trending_bear
    [.14, .22, .00, .12, .47, .00, .05],  # high_vol_range
    [.14, .22, .12, .00, .50, .00, .02],  # low_vol_range
    [.85, .00, .05, .02, .00, .08, .00],  # breakout
    [.75, .00, .15, .10, .00, .00, .00],  # reversal
    [.00, .20, .40, .00, .00, .40, .00],  # crisis
])
# fmt: on

_DWELL_SHAPE = 2.0
_JITTER, _WIDE_JITTER = 0.15, 0.30
_WIDE = {"jumps", "spread", "dwell"}
_BLOCK = 8192


class SimulatedMarket(NamedTuple):
    """A simulated market; all arrays are (n,)."""

    ts: Ints  # end of the bar, UNIX ns
    price: Floats  # mid at the end of the bar
    size: Floats  # traded in the bar, base currency
    bid: Floats
    ask: Floats
    bid_size: Floats  # base currency
    ask_size: Floats
    buy_size: Floats  # traded at the ask
    regime: Ints  # index in REGIMES of the regime that made the bar's return
    fee_bp: float


def _generator(seed: int, stream: int) -> np.random.Generator:
    """One stream of a seed, so that more ticks never move what another stream draws."""
    return np.random.Generator(np.random.PCG64([seed, stream]))


def _parameters(kind: MarketKind, seed: int, randomised: bool) -> tuple[Floats, Floats]:
    """Parameters (9, 7) of the kernel and mean dwell times (7,) of one seed."""
    generator = _generator(seed, 0)
    z = dict(zip(Mechanism._fields, generator.standard_normal((len(Mechanism._fields), 7)), strict=True))
    edge_factor = generator.uniform(0.4, 1.2)
    dwell_factor, vol_factor = np.exp(np.array([0.3, 0.2]) * generator.standard_normal(2))
    if not randomised:
        edge_factor = dwell_factor = vol_factor = 1.0

    columns = dict(zip(Mechanism._fields, np.array(TABLE).T, strict=True))
    if kind.swapped:
        columns = _swap(columns)
    for name, column in columns.items():
        columns[name] = column * np.exp((_WIDE_JITTER if name in _WIDE else _JITTER) * z[name])
    edge = kind.edge * edge_factor
    for name in ("drift", "pull", "lag", "jump_mean", "returns"):
        columns[name] *= edge
    columns["drift"] *= mk.SIGMA
    columns["vol"] *= mk.SIGMA * vol_factor
    columns["spread"] *= 1e-4
    dwell = columns.pop("dwell") * dwell_factor
    return np.array(list(columns.values())), dwell


def _swap(columns: dict[str, Floats]) -> dict[str, Floats]:
    """Exchange the mechanisms of trends and ranges; volatility, jumps, volume, spread and dwell stay."""
    columns = {name: column.copy() for name, column in columns.items()}
    trends, ranges = [BULL, BEAR, BREAKOUT, REVERSAL], [HIGH, LOW]
    drift = columns["drift"][[BULL, BEAR]].mean()
    pull = columns["pull"][ranges].mean()
    columns["drift"][trends] = 0.0
    columns["pull"][trends] = pull
    columns["drift"][ranges] = drift * columns["vol"][ranges]
    columns["pull"][ranges] = 0.0
    columns["lag"][trends + ranges] *= -1.0
    return columns


def _path(dwell: Floats, ticks: int, seed: int) -> tuple[Ints, Floats]:
    """The regime (n,) and its side (n,), +1 or -1; the last dwell is cut by the end."""
    generator = _generator(seed, 1)
    regime, side = np.empty(ticks, np.int64), np.empty(ticks)
    up = TRANSITIONS.cumsum(axis=1)
    down = TRANSITIONS[:, [BEAR, BULL, HIGH, LOW, BREAKOUT, REVERSAL, CRISIS]].cumsum(axis=1)
    now, now_side = LOW, 1.0
    trend = 1.0  # side of the last regime that went somewhere
    start = 0
    while start < ticks:
        length, pick, coin = generator.standard_gamma(_DWELL_SHAPE), generator.random(), generator.random()
        row = (down if now in (BREAKOUT, REVERSAL) and now_side < 0.0 else up)[now]
        now = int(np.searchsorted(row, pick * row[-1], side="right"))
        if now == BULL:
            now_side = 1.0
        elif now in (BEAR, CRISIS):
            now_side = -1.0
        elif now == REVERSAL:
            now_side = -trend
        else:
            now_side = 1.0 if coin < 0.5 else -1.0
        if now not in (HIGH, LOW):
            trend = now_side
        end = start + SHORTEST + round(max(dwell[now] - SHORTEST, 0.0) / _DWELL_SHAPE * length)
        regime[start:end] = now
        side[start:end] = now_side
        start = end
    return regime, side


def _noise(ticks: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Student-t (n,), normal (n, 7) and uniform (n, 3) draws, in blocks: fewer ticks are a prefix of more."""
    generator = _generator(seed, 2)
    t5, normal, uniform = [], [], []
    for _ in range(0, ticks, _BLOCK):
        t5.append(generator.standard_t(5.0, _BLOCK))
        normal.append(generator.standard_normal((_BLOCK, mk.NORMALS)))
        uniform.append(generator.random((_BLOCK, mk.UNIFORMS)))
    return np.concatenate(t5)[:ticks], np.concatenate(normal)[:ticks], np.concatenate(uniform)[:ticks]


def simulate(market: str, ticks: int, seed: int, randomised: bool = False) -> SimulatedMarket:
    """Simulate `ticks` 15-minute ticks of a market of MARKETS; the same arguments give the same bytes.

    Every seed draws its parameters anew around the table: log-normal jitter .15 on each, .3 on jump rate,
    spread and dwell. `randomised` is for training seeds only: edge times U(.4, 1.2), dwell times exp(.3 z),
    volatility times exp(.2 z) (domain randomisation, Tobin et al. 2017). Fewer ticks of a seed are a prefix
    of more.
    """
    if market not in MARKETS:
        raise ValueError(f"unknown market {market!r}: markets are {', '.join(MARKETS)}")
    if ticks < 1:
        raise ValueError(f"ticks is {ticks}: ask for at least 1 tick of a market ({', '.join(MARKETS)})")
    if seed < 0:
        raise ValueError(f"seed is {seed}: give a seed of 0 or more to the market ({', '.join(MARKETS)})")
    kind = MARKETS[market]
    parameters, dwell = _parameters(kind, seed, randomised)
    regime, side = _path(dwell, ticks, seed)
    out = np.empty((7, ticks))
    mk.walk(*_noise(ticks, seed), regime, side, parameters, out)
    price, size, bid, ask, bid_size, ask_size, buy_size = out
    ts = FIRST + BAR * np.arange(ticks, dtype=np.int64)
    return SimulatedMarket(ts, price, size, bid, ask, bid_size, ask_size, buy_size, regime, kind.fee_bp)
