"""Contextual weights: recursive least squares predicts every agent's score from the market and its own record.

One regressor vector x and one inverse covariance P serve all agents; each has a column of coefficients. The target is
the mean normalised score of the next 32 good rows, learned when it is known and never before. Exponential forgetting
as in Haykin 2002, chapter 9. Matrix and vector products are written out: their order of summation is part of the
result.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel

EVERY = 4
"""Good rows between two updates."""

HORIZON = 32
"""Good rows that a prediction speaks of."""

FAST = 1.0 - 0.5 ** (1.0 / 96.0)
SLOW = 1.0 - 0.5 ** (1.0 / 768.0)
"""Steps of the EWMAs of scores that are regressors."""

FORGET = 0.5 ** (EVERY / 3e5)
PRECISION = 1500.0
"""Of the coefficients of which nothing is known."""

FEATURE_SCALE, FAST_SCALE, SLOW_SCALE = 0.5, 10.0, 25.0
"""What features and EWMAs of scores are multiplied by to be regressors, so that all have variances of one size."""

_SLOTS = HORIZON // EVERY + 1


class Learned(NamedTuple):
    """What the member learns; D regressors, N agents."""

    P: Floats  # (D, D) inverse covariance, symmetric
    B: Floats  # (D, N) coefficients
    mu: Floats  # (N,) predicted mean score of the next 32 good rows

    @classmethod
    def new(cls, regressors: int, agents: int) -> "Learned":
        """Knows nothing: predicts 0."""
        return cls.at(np.eye(regressors) / PRECISION, np.zeros((regressors, agents)))

    @classmethod
    def at(cls, P: Floats, B: Floats) -> "Learned":
        """Starts from an inverse covariance (D, D) and coefficients (D, N)."""
        return cls(P.copy(), B.copy(), np.zeros(B.shape[1]))


class Memory(NamedTuple):
    """What the member remembers of the market."""

    past: Floats  # (9, D) regressors of the last predictions

    @classmethod
    def new(cls, regressors: int) -> "Memory":
        """No prediction yet."""
        return cls(np.zeros((_SLOTS, regressors)))


def regressors(features: int, agents: int) -> int:
    """Return the length D of the regressor vector."""
    return 1 + features + 4 * agents


@kernel
def regress(z: Floats, drift: float, fast: Floats, slow: Floats, a: Floats, x: Floats) -> None:
    """Fill the regressors x (D,).

    z: (F,) scaled features; drift: the scaled 128-tick trend; fast, slow: (N,) EWMAs of the scores; a: (N,) targets.
    """
    f, n = z.shape[0], a.shape[0]
    x[0] = 1.0
    for i in range(f):
        x[1 + i] = FEATURE_SCALE * z[i]
    at = 1 + f
    for i in range(n):
        x[at + i] = FAST_SCALE * fast[i]
        x[at + n + i] = SLOW_SCALE * slow[i]
        x[at + 2 * n + i] = FEATURE_SCALE * a[i] * drift
        x[at + 3 * n + i] = abs(a[i])


@kernel
def learn(m: Learned, k: Floats, x: Floats, y: Floats, awake: Ints, keep: float) -> None:
    """One update: y (N,) is what came of the prediction made from x (D,); sleeping agents do not move.

    k: (D,) scratch for the gain; keep: what the past counts for afterwards, FORGET for this member.
    """
    d, n = m.B.shape
    error = m.mu  # scratch until the next prediction
    for i in range(d):
        k[i] = 0.0
    for j in range(d):  # k = P x, by columns: P is symmetric, and this order runs on vector units
        for i in range(d):
            k[i] += m.P[j, i] * x[j]
    scale = keep
    for i in range(d):
        scale += x[i] * k[i]
    scale = 1.0 / scale
    for c in range(n):
        error[c] = y[c]
    for i in range(d):  # by rows of B, which lie in one piece
        for c in range(n):
            error[c] -= m.B[i, c] * x[i]
    for c in range(n):
        error[c] *= scale
    for i in range(d):
        for c in range(n):
            if awake[c]:
                m.B[i, c] += error[c] * k[i]
    forget = 1.0 / keep
    for j in range(d):
        for i in range(d):
            m.P[j, i] = forget * (m.P[j, i] - scale * (k[j] * k[i]))  # keeps P symmetric to the bit


@kernel
def predict(m: Learned, x: Floats) -> None:
    """Fill m.mu (N,) with the scores predicted from regressors x (D,)."""
    d, n = m.B.shape
    for c in range(n):
        m.mu[c] = 0.0
    for i in range(d):
        for c in range(n):
            m.mu[c] += m.B[i, c] * x[i]


@kernel
def slot(good: int) -> int:
    """Return the place in `past` at which the regressors of good row `good` are stored."""
    return good // EVERY % _SLOTS
