"""Regime-conditional weights: the mean and covariance of the agents' scores in each regime, weighed by its posterior.

Empirical Bayes (Efron and Morris 1973): in every regime the agents' moments are a weighted average of what was seen,
discounted with a half-life of 30,000 rows, and of what SIMULATED markets showed, which counts as much as 20,000 rows.
Of agents that were not simulated the prior says mean 0, variance 1 and no covariance. A score is learned under the
posterior of the row at which its position was decided.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined
from windvane.metamodel.base.regimes import REGIMES

_KEEP = 0.5 ** (1.0 / 3e4)
_PRIOR = 2e4  # rows that the prior counts for, in each regime


class Simulated(NamedTuple):
    """What simulated markets showed of N agents in K regimes."""

    first: Floats  # (K, N) mean score
    second: Floats  # (K, N, N) mean product of scores


class Learned(NamedTuple):
    """What the member learns; K regimes, N agents."""

    mass: Floats  # (K, N, N) discounted rows at which both were awake, weighed by the posterior
    first: Floats  # (K, N) discounted sums of scores
    second: Floats  # (K, N, N) of products of scores
    mu: Floats  # (N,) expected score of the next row
    S: Floats  # (N, N) its covariance

    @classmethod
    def new(cls, agents: int) -> "Learned":
        """Has seen nothing: all it says is the prior's."""
        k, n = len(REGIMES), agents
        square = (k, n, n)
        return cls(np.zeros(square), np.zeros((k, n)), np.zeros(square), np.zeros(n), np.eye(n))


@inlined
def learn(m: Learned, p: Floats, gn: Floats, awake: Ints) -> None:
    """Update by scores gn (N,) of positions that were decided under posterior p (K,); agents asleep do not change."""
    n = gn.shape[0]
    for k in range(p.shape[0]):
        for i in range(n):
            if not awake[i]:
                continue
            m.first[k, i] = _KEEP * m.first[k, i] + p[k] * gn[i]
            mass, second = m.mass[k, i], m.second[k, i]  # rows, so that the loop runs on vector units
            chance, own = p[k], gn[i]
            for j in range(n):
                if awake[j]:
                    mass[j] = _KEEP * mass[j] + chance
                    second[j] = _KEEP * second[j] + chance * (own * gn[j])


@inlined
def predict(m: Learned, prior: Simulated, p: Floats, mean: Floats) -> None:
    """Fill m.mu and m.S under posterior p (K,); mean: (K, N) scratch."""
    n = m.mu.shape[0]
    m.mu[:] = 0.0
    m.S[:] = 0.0
    for k in range(p.shape[0]):
        for i in range(n):
            seen = _PRIOR + m.mass[k, i, i]
            mean[k, i] = (_PRIOR * prior.first[k, i] + m.first[k, i]) / seen
            m.mu[i] += p[k] * mean[k, i]
        for i in range(n):
            for j in range(n):
                seen = _PRIOR + m.mass[k, i, j]
                product = (_PRIOR * prior.second[k, i, j] + m.second[k, i, j]) / seen
                m.S[i, j] += p[k] * (product - mean[k, i] * mean[k, j])
