"""How sure a Sharpe ratio is: bootstrap of a difference, probabilistic and deflated Sharpe ratio.

Here a Sharpe ratio with no unit named is of one day (mean / std, ddof 1); times sqrt(365) it is of a year.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats

YEAR = 365
BLOCK = 20
DRAWS = 2_000
FEWEST = 40
"""Days below which no interval is given: with fewer than two blocks there is nothing to resample."""

_NORMAL = NormalDist()


class Gain(NamedTuple):
    """Difference of two Sharpe ratios of a year."""

    sharpe: float
    low: float | None  # 2.5 % and
    high: float | None  # 97.5 % quantile of the draws
    p: float | None  # two-sided, of no difference
    days: int
    blocks: int  # in one draw
    sentence: str


def annual(returns: Floats) -> Floats:
    """(..., D) daily returns -> (...) Sharpe ratios of a year; 0 where nothing moves or D < 2."""
    if returns.shape[-1] < 2:
        return np.zeros(returns.shape[:-1])
    # A constant's computed deviation is rounding, not risk: compare the values themselves.
    moves = returns.max(axis=-1) > returns.min(axis=-1)
    deviation = np.where(moves, returns.std(axis=-1, ddof=1), 1.0)
    ratio: Floats = np.where(moves, returns.mean(axis=-1) / deviation * math.sqrt(YEAR), 0.0)
    return ratio


def signed(value: float) -> str:
    """Two digits and a sign."""
    return f"{value:+.2f}".replace("-", "−")


def gain(ensemble: Floats, other: Floats, seed: int) -> Gain:
    """Sharpe of `ensemble` less that of `other`, both (D,) daily returns of the same days.

    Circular block bootstrap (Politis and Romano 1992) of the days, drawn for both series alike, so what the
    two have in common stays in common; p is the share of draws whose difference lies further from the one
    found than that lies from 0 (Ledoit and Wolf 2008, sec. 3.2, without studentising).
    """
    days = len(ensemble)
    found = float(annual(ensemble) - annual(other))
    blocks = -(-days // BLOCK)
    if days < FEWEST:
        sentence = f"gain {signed(found)}; an interval takes {FEWEST} days or more, these are {days}"
        return Gain(found, None, None, None, days, blocks, sentence)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, days, size=(DRAWS, blocks))
    draws = np.empty(DRAWS)
    step = max(1, 1_000_000 // days)
    for at in range(0, DRAWS, step):
        rows = starts[at : at + step, :, None] + np.arange(BLOCK)
        rows = rows.reshape(len(rows), -1)[:, :days] % days
        draws[at : at + step] = annual(ensemble[rows]) - annual(other[rows])
    low, high = (float(q) for q in np.quantile(draws, (0.025, 0.975)))
    p = float((1 + np.count_nonzero(np.abs(draws - found) >= abs(found))) / (DRAWS + 1))
    if low > 0:
        verdict = "better than equal weights on these days"
    elif high < 0:
        verdict = "worse than equal weights on these days"
    else:
        verdict = "not proven"
    sentence = f"gain {signed(found)}, 95 % interval {signed(low)} to {signed(high)}: {verdict}"
    return Gain(found, low, high, p, days, blocks, sentence)


def probabilistic(
    sharpe: float, days: int, skew: float, kurtosis: float, benchmark: float = 0.0
) -> float | None:
    """Probability that the true Sharpe ratio of a day is above `benchmark`; kurtosis is 3 for a normal.

    Bailey and Lopez de Prado 2012, The Sharpe ratio efficient frontier, eq. 11.
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if days < 2 or not spread > 0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(days - 1) / math.sqrt(spread))


def expected_maximum(variance: float, trials: int) -> float:
    """Highest Sharpe ratio to expect of `trials` strategies without skill, given the `variance` of theirs.

    Bailey and Lopez de Prado 2014, The deflated Sharpe ratio, eq. 1.
    """
    if trials < 2 or not variance > 0:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - np.euler_gamma) * first + np.euler_gamma * second)


def moments(returns: Floats) -> tuple[float, float]:
    """Population skewness and kurtosis (3 for a normal) of (D,) returns; 0 and 3 where nothing moves."""
    centred = returns - returns.mean()
    variance = float((centred**2).mean())
    if not variance > 0:
        return 0.0, 3.0
    return float((centred**3).mean()) / variance**1.5, float((centred**4).mean()) / variance**2


def proof(returns: Floats, trials: Floats) -> tuple[float | None, float | None]:
    """Probabilistic and deflated Sharpe ratio of (D,) daily returns.

    trials: (T,) Sharpe ratios of a year of all strategies looked at.
    """
    if len(returns) < 2 or not returns.max() > returns.min():
        return None, None
    sharpe = float(annual(returns)) / math.sqrt(YEAR)
    skew, kurtosis = moments(returns)
    variance = float(trials.var(ddof=1)) / YEAR if len(trials) > 1 else 0.0
    bar = expected_maximum(variance, len(trials))
    plain = probabilistic(sharpe, len(returns), skew, kurtosis)
    return plain, probabilistic(sharpe, len(returns), skew, kurtosis, bar)
