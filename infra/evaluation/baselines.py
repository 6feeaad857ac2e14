"""Ways to weigh agents that are known from the literature; each from scores (n, N) gives weights (n, N).

Row t of the weights knows the scores up to and including row t.
"""

import math

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import kernel
from windvane.metamodel.learning import fixed_share

_RANGE = 8.0  # two normalised scores differ by at most this


def hedge(gn: Floats) -> Floats:
    """Exponential weights (Freund and Schapire 1997), the rate chosen for the number of rows, known beforehand."""
    rate = math.sqrt(8.0 * math.log(gn.shape[1]) / len(gn)) / _RANGE
    total = rate * np.cumsum(gn, axis=0)
    w = np.exp(total - total.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def shared(gn: Floats, eta: float = 0.02, alpha: float = 1e-4) -> Floats:
    """Fixed-Share over the agents (Herbster and Warmuth 1998)."""
    out = np.empty_like(gn)
    _share(gn, eta, alpha, out)
    return out


@kernel
def _share(gn: Floats, eta: float, alpha: float, out: Floats) -> None:
    n = gn.shape[1]
    even = np.full(n, 1.0 / n)
    weight, square = even.copy(), np.ones(n)
    for t in range(gn.shape[0]):
        fixed_share.learn(gn[t], square, even, eta, alpha, weight)
        out[t, :] = weight


def ewma_sharpe(gn: Floats, half_life: float = 2000.0) -> Floats:
    """In proportion to the agents' recent Sharpe ratio where it is above 0; equal where none is."""
    out = np.empty_like(gn)
    _ratios(gn, 1.0 - 0.5 ** (1.0 / half_life), out)
    return out


@kernel
def _ratios(gn: Floats, rate: float, out: Floats) -> None:
    n = gn.shape[1]
    mean, square = np.zeros(n), np.ones(n)
    for t in range(gn.shape[0]):
        total = 0.0
        for i in range(n):
            mean[i] += rate * (gn[t, i] - mean[i])
            square[i] += rate * (gn[t, i] * gn[t, i] - square[i])
            out[t, i] = max(mean[i], 0.0) / math.sqrt(max(square[i] - mean[i] * mean[i], 1e-12))
            total += out[t, i]
        for i in range(n):
            out[t, i] = out[t, i] / total if total > 0.0 else 1.0 / n
