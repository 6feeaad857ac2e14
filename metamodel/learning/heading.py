"""The weights towards which a predicting member moves: mean-variance weights with the aversion that pays most.

Mean-variance weights have the greatest Sharpe ratio at an aversion equal to the mean over the variance of what they
earn (Merton 1972). Here both are what the member itself expects, averaged over about 8,000 rows: in a market with
little to earn, a fixed aversion would ask for less variance than is worth having.
"""

import math

from windvane.agents.base import Floats
from windvane.agents.kernel import inlined
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.learning.simplex import Simplex, allocate

USUAL = (0.02, 0.2)
"""Mean and variance that a member expects at first, in units of volatility."""

_PACE = 1.0 / 8000.0  # a row
_LEAST, _MOST = 0.01, 0.5  # aversion
_STEPS = 8  # of projected gradient, warm-started
_VOLATILITY = NAMES.index("vol_128_slow")
_MOST_VOLATILE = 2.0  # of that logarithm


@inlined
def volatility(features: Floats) -> float:
    """Return the volatility over its slow average, which turns scores, in units of volatility, into returns."""
    return math.exp(min(_MOST_VOLATILE, max(-_MOST_VOLATILE, features[_VOLATILITY])))


@inlined
def head(
    expects: Floats,
    aversion: float,
    every: int,
    size: float,
    mu: Floats,
    S: Floats,
    simplex: Simplex,
    best: Floats,
) -> None:
    """Move best (N,) towards the best weights for scores of mean mu (N,) and covariance S (N, N).

    expects: (2,) mean and variance of returns expected in the long run; aversion: times the one that pays most;
    every: rows since the last call; size: what `volatility` returns. The mean of returns goes with the size, the
    variance with its square.
    """
    averse = aversion * min(_MOST, max(_LEAST, expects[0] / expects[1]))
    allocate(mu, S, averse * size, _STEPS, simplex, best)
    mean, variance = 0.0, 0.0
    for i in range(best.shape[0]):
        mean += best[i] * mu[i]
        for k in range(best.shape[0]):
            variance += best[i] * best[k] * S[i, k]
    expects[0] += every * _PACE * (size * mean - expects[0])
    expects[1] += every * _PACE * (size * size * variance - expects[1])
