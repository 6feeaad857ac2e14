"""How certain a Sharpe ratio is: bootstrap of a difference, probabilistic and deflated Sharpe ratio.

A daily Sharpe ratio is the mean over the standard deviation (ddof 1) of daily returns; an annualised one is that times
sqrt(365).
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
"""Fewest days for which an interval is computed: two blocks, since one block alone cannot be resampled."""

_NORMAL = NormalDist()


class Gain(NamedTuple):
    """The difference of two annualised Sharpe ratios, with its bootstrap interval where there are enough days."""

    sharpe: float | None  # None where one of the two is not known
    low: float | None  # 2.5 % and
    high: float | None  # 97.5 % quantile of the draws
    p: float | None  # two-sided, of no difference
    days: int
    blocks: int  # in one draw
    sentence: str


def annual(returns: Floats) -> Floats:
    """Return annualised Sharpe ratios (...) of daily returns (..., D); NaN where D < 2 or all are equal."""
    if returns.shape[-1] < 2:
        return np.full(returns.shape[:-1], math.nan)
    # The computed deviation of equal values may be a rounding error above 0, so the values themselves are compared.
    moves = returns.max(axis=-1) > returns.min(axis=-1)
    deviation = np.where(moves, returns.std(axis=-1, ddof=1), 1.0)
    ratio: Floats = np.where(moves, returns.mean(axis=-1) / deviation * math.sqrt(YEAR), math.nan)
    return ratio


def signed(value: float) -> str:
    """Return a number as text with two decimals, its sign, and a typographic minus."""
    return f"{value:+.2f}".replace("-", "−")


def gain(ensemble: Floats, other: Floats, seed: int) -> Gain:
    """Return the annualised Sharpe ratio of `ensemble` less that of `other`, and how certain the difference is.

    ensemble, other: (D,) daily returns of the same days; seed: of the bootstrap's draws. The interval is that of a
    circular block bootstrap (Politis and Romano 1992) which draws the same days for both series, and so keeps the
    correlation between them. p is the share of draws whose difference lies further from the observed one than that
    lies from 0 (Ledoit and Wolf 2008, sec. 3.2, without studentising).
    """
    days = len(ensemble)
    difference = float(annual(ensemble) - annual(other))
    blocks = -(-days // BLOCK)
    if math.isnan(difference):
        why = "do not vary" if days > 1 else "are of less than two days"
        sentence = f"no gain can be said: the returns of one of the two {why}"
        return Gain(None, None, None, None, days, blocks, sentence)
    if days < FEWEST:
        sentence = f"gain {signed(difference)}; an interval takes {FEWEST} days or more, these are {days}"
        return Gain(difference, None, None, None, days, blocks, sentence)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, days, size=(DRAWS, blocks))
    draws = np.empty(DRAWS)
    step = max(1, 1_000_000 // days)
    for at in range(0, DRAWS, step):
        rows = starts[at : at + step, :, None] + np.arange(BLOCK)
        rows = rows.reshape(len(rows), -1)[:, :days] % days
        draws[at : at + step] = annual(ensemble[rows]) - annual(other[rows])
    draws = draws[~np.isnan(draws)]  # of days that are all alike, in a series that hardly ever moves
    low, high = (float(q) for q in np.quantile(draws, (0.025, 0.975)))
    p = float((1 + np.count_nonzero(np.abs(draws - difference) >= abs(difference))) / (len(draws) + 1))
    if low > 0:
        verdict = "better than equal weights on these days"
    elif high < 0:
        verdict = "worse than equal weights on these days"
    else:
        verdict = "not proven"
    sentence = f"gain {signed(difference)}, 95 % interval {signed(low)} to {signed(high)}: {verdict}"
    return Gain(difference, low, high, p, days, blocks, sentence)


def probabilistic(
    sharpe: float, days: int, skew: float, kurtosis: float, benchmark: float = 0.0
) -> float | None:
    """Return the probability that the true daily Sharpe ratio is above `benchmark`, the probabilistic Sharpe ratio.

    sharpe: the observed daily ratio over `days` days; skew and kurtosis: of the daily returns, 0 and 3 for a normal
    distribution. None where there are fewer than two days, or the moments admit no variance above 0.
    Bailey and Lopez de Prado 2012, "The Sharpe ratio efficient frontier", eq. 11.
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if days < 2 or not spread > 0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) * math.sqrt(days - 1) / math.sqrt(spread))


def expected_maximum(variance: float, trials: int) -> float:
    """Return the highest Sharpe ratio that is to be expected of `trials` strategies without skill.

    variance: of the Sharpe ratios of the strategies; the result has their unit. 0 for fewer than two strategies.
    Bailey and Lopez de Prado 2014, "The deflated Sharpe ratio", eq. 1.
    """
    if trials < 2 or not variance > 0:
        return 0.0
    first, second = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - np.euler_gamma) * first + np.euler_gamma * second)


def moments(returns: Floats) -> tuple[float, float]:
    """Return population skewness and kurtosis of returns (D,): 0 and 3 for a normal, and where all are equal."""
    centred = returns - returns.mean()
    variance = float((centred**2).mean())
    if not variance > 0:
        return 0.0, 3.0
    return float((centred**3).mean()) / variance**1.5, float((centred**4).mean()) / variance**2


def proof(returns: Floats, trials: Floats) -> tuple[float | None, float | None]:
    """Return the probabilistic and the deflated Sharpe ratio of daily returns (D,), both probabilities.

    The first is the probability that the true Sharpe ratio is above 0; the second that it is above the highest one to
    be expected of as many strategies without skill. trials: (T,) annualised Sharpe ratios of all strategies that were
    looked at. None, None where D < 2 or all returns are equal.
    """
    if len(returns) < 2 or not returns.max() > returns.min():
        return None, None
    sharpe = float(annual(returns)) / math.sqrt(YEAR)
    skew, kurtosis = moments(returns)
    variance = float(trials.var(ddof=1)) / YEAR if len(trials) > 1 else 0.0
    bar = expected_maximum(variance, len(trials))
    plain = probabilistic(sharpe, len(returns), skew, kurtosis)
    return plain, probabilistic(sharpe, len(returns), skew, kurtosis, bar)
