"""Ways to weigh N agents that are known from the literature, as baselines.

Each is a function of the agents' normalised scores (n, N) that returns weights (n, N). Row t of the weights depends on
the scores up to and including row t.
"""

import math

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import kernel
from windvane.metamodel.learning import fixed_share

_RANGE = 8.0  # two normalised scores differ by at most this


def hedge(gn: Floats) -> Floats:
    """Return exponential weights, "Hedge", with the learning rate sqrt(8 ln N / n) over the range of the scores.

    The rate uses the number of rows n, which a live run would not know. gn: (n, N) normalised scores.
    Freund and Schapire 1997.
    """
    rate = math.sqrt(8.0 * math.log(gn.shape[1]) / len(gn)) / _RANGE
    total = rate * np.cumsum(gn, axis=0)
    w = np.exp(total - total.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def shared(gn: Floats, eta: float = 0.02, alpha: float = 1e-4) -> Floats:
    """Return Fixed-Share weights over the agents, which follow the best agent and let it change.

    gn: (n, N) normalised scores; eta: learning rate; alpha: share of all weight that is spread evenly at each row.
    Herbster and Warmuth 1998.
    """
    out = np.empty_like(gn)
    _share(gn, eta, alpha, out)
    return out


@kernel
def _share(gn: Floats, eta: float, alpha: float, out: Floats) -> None:
    """Fill `out` (n, N) with the weights after each row."""
    n = gn.shape[1]
    even = np.full(n, 1.0 / n)
    weight, square = even.copy(), np.ones(n)
    for t in range(gn.shape[0]):
        fixed_share.learn(gn[t], square, even, eta, alpha, weight)
        out[t, :] = weight


def ewma_sharpe(gn: Floats, half_life: float = 2000.0) -> Floats:
    """Return weights in proportion to the agents' recent Sharpe ratios, where those are above 0; else equal weights.

    gn: (n, N) normalised scores; half_life: of the exponential averages, in rows.
    """
    out = np.empty_like(gn)
    _ratios(gn, 1.0 - 0.5 ** (1.0 / half_life), out)
    return out


@kernel
def _ratios(gn: Floats, rate: float, out: Floats) -> None:
    """Fill `out` (n, N) with the weights after each row; rate: weight of a new score in the averages."""
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
