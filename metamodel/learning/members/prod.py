"""Adapt-ML-Prod: multiplicative weights whose learning rate adapts to every agent by itself.

Gaillard, Stoltz and van Erven 2014, "A second-order bound with excess losses", section 3: weights grow by
(1 + eta[i] x regret[i]) to the power of eta[i] new over old, with eta[i] = min(1/2, sqrt(ln N / (1 + sum of squared
regrets))). No parameter to tune; regret against the best agent is bounded by the root of its own excess variance.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel

_RANGE = 8.0  # two normalised scores differ by at most this


class Learned(NamedTuple):
    """What the member learns; all (N,)."""

    log_weight: Floats
    eta: Floats
    squares: Floats  # sums of squared regrets

    @classmethod
    def new(cls, agents: int) -> "Learned":
        """Equal weights."""
        return cls(np.full(agents, -math.log(agents)), np.full(agents, _rate(agents, 0.0)), np.zeros(agents))


@kernel
def _rate(agents: int, squares: float) -> float:
    return min(0.5, math.sqrt(math.log(max(agents, 2)) / (1.0 + squares)))


@inlined
def learn(m: Learned, gn: Floats, awake: Ints, w: Floats) -> None:
    """Update by the agents' normalised scores gn (n,) of a row at which the member's weights were w (n,).

    awake: (n,) an agent with 0 does not change.
    """
    n = gn.shape[0]
    mixed = 0.0
    for i in range(n):
        mixed += w[i] * gn[i]
    for i in range(n):
        if awake[i]:
            regret = (gn[i] - mixed) / _RANGE
            m.squares[i] += regret * regret
            new = _rate(n, m.squares[i])
            m.log_weight[i] = new / m.eta[i] * (m.log_weight[i] + math.log1p(m.eta[i] * regret))
            m.eta[i] = new


@inlined
def weigh(m: Learned, awake: Ints, v: Floats) -> None:
    """Write the weights before the cap into v (n,): eta times weight, normalised over the agents that are awake."""
    n = v.shape[0]
    top = -math.inf
    for i in range(n):
        if awake[i]:
            top = max(top, m.log_weight[i])
    total = 0.0
    for i in range(n):
        v[i] = m.eta[i] * math.exp(m.log_weight[i] - top) if awake[i] else 0.0
        total += v[i]
    for i in range(n):
        v[i] = v[i] / total if total > 0.0 else 0.0
