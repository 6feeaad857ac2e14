"""How strong the mechanisms of a fit are in this market: one factor for each part of what the fit says.

What a fit predicts is a sum of parts. A mechanism that is weaker here than where it was fitted, or missing, or the
other way round, is a factor on its part other than 1, and it is the same factor for all agents. So there are few of
them, each is learned from the scores of all agents, and they are known long before single coefficients could be.
Bayesian linear regression (Bishop 2006, section 3.3) around factors of 1, with exponential forgetting.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel

VARIANCE = 9.0
"""Of a factor at the start, in units of the variance of the scores it is learned from: at 1/32, it is 1 +- .5."""


class Learned(NamedTuple):
    """What is learned of G parts."""

    factor: Floats  # (G,)
    P: Floats  # (G, G) covariance, in units of the variance of scores; symmetric

    @classmethod
    def new(cls, parts: int) -> "Learned":
        """As strong as where it was fitted."""
        return cls(np.ones(parts), VARIANCE * np.eye(parts))


class Memory(NamedTuple):
    """What is remembered of the market: as many predictions as lie between one and what comes of it."""

    past: Floats  # (9, N, G) parts of the last predictions

    @classmethod
    def new(cls, parts: int, agents: int, predictions: int) -> "Memory":
        """No prediction yet."""
        return cls(np.zeros((predictions, agents, parts)))


@kernel
def split(B: Floats, part: Ints, x: Floats, out: Floats) -> None:
    """Fill out (N, G): the parts of the predictions of coefficients B (D, N) from regressors x (D,).

    part: (D,) the part to which each regressor belongs.
    """
    n, parts = out.shape
    sums = np.zeros((parts, n))  # the other way round, so that what is added to lies in one piece
    for d in range(x.shape[0]):
        row = sums[part[d]]
        for i in range(n):
            row[i] += B[d, i] * x[d]
    for i in range(n):
        for g in range(parts):
            out[i, g] = sums[g, i]


@kernel
def predicted(m: Learned, parts: Floats) -> float:
    """The parts (G,) of one agent, each times its factor."""
    total = 0.0
    for g in range(parts.shape[0]):
        total += m.factor[g] * parts[g]
    return total


@kernel
def learn(m: Learned, scratch: Floats, parts: Floats, y: Floats, awake: Ints, keep: float) -> None:
    """One update: y (N,) is what the parts (N, G) should have come to; nothing is learned from agents that sleep.

    scratch: (2, G); keep: what the past counts for afterwards. No factor is ever forgotten beyond what was known at the
    start.
    """
    n, parts_of = parts.shape
    k, s = scratch[0], scratch[1]  # the gain; what forgetting multiplies deviations by
    for i in range(n):
        if not awake[i]:
            continue
        u = parts[i]
        k[:] = 0.0
        for b in range(parts_of):  # k = P u, by columns: P is symmetric, and this order runs on vector units
            for a in range(parts_of):
                k[a] += m.P[b, a] * u[b]
        scale = 1.0
        for a in range(parts_of):
            scale += u[a] * k[a]
        scale = 1.0 / scale
        error = scale * (y[i] - predicted(m, u))
        for a in range(parts_of):
            m.factor[a] += error * k[a]
        for b in range(parts_of):
            for a in range(parts_of):
                m.P[b, a] -= scale * (k[a] * k[b])
    for a in range(parts_of):
        s[a] = math.sqrt(min(1.0 / keep, VARIANCE / m.P[a, a]))
    for b in range(parts_of):
        for a in range(parts_of):
            m.P[b, a] *= s[a] * s[b]
