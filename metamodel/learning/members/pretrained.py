"""Contextual weights that were fitted before: least squares on randomised SIMULATED markets, then learned on.

The recursive least squares of the contextual member, with the regime's posterior among the regressors, and with what
means another thing in each regime: where price has come from, which agent's position goes with the drift that the
regime has, how large positions are in ranges and in trends.
It starts from a ridge fit on the training seeds that counts as much as 500,000 rows: `windvane train members` makes
that fit again. First it learns how strong each part of that fit is in the market it is in, then what is left. Of
agents that the fit does not know it starts knowing nothing, as the contextual member does.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.regimes import BEAR, BREAKOUT, BULL, CRISIS, HIGH, LOW, REGIMES
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.learning.members import contextual, strength
from windvane.metamodel.learning.members.contextual import EVERY, FAST_SCALE, FEATURE_SCALE, SLOW_SCALE

FEATURES = 21
"""So many of the features are read, the first: those that are scale-free by their own past."""

CROSSED = tuple(
    NAMES.index(name)
    for name in ("trend_32", "trend_128", "trend_512", "range_position_96", "range_skew_480")
)
"""Features that mean another thing in each regime: these times the posterior are regressors."""

FORGET = 0.5 ** (EVERY / 2e5)
BLOCKS = 5
"""Regressors that each agent has one of."""

_POSTERIOR = 1 + FEATURES
_CROSSED = _POSTERIOR + len(REGIMES)
PARTS = _POSTERIOR + 1 + 2 * len(CROSSED) + BLOCKS
COMMON = _CROSSED + len(CROSSED) * len(REGIMES)
"""Regressors that are no agent's."""


class Fit(NamedTuple):
    """What is known before the first row; D regressors, N agents."""

    P: Floats  # (D, D) inverse covariance
    B: Floats  # (D, N) coefficients
    part: Ints  # (D,) which part of a prediction a regressor belongs to


class Learned(NamedTuple):
    """What the member learns; N agents."""

    strength: strength.Learned
    rest: contextual.Learned  # what the fit and its strength leave
    mu: Floats  # (N,) predicted mean score of the next 32 good rows

    @classmethod
    def new(cls, fit: Fit) -> "Learned":
        """Predicts what the fit predicts."""
        rest = contextual.Learned.at(fit.P, np.zeros_like(fit.B))
        return cls(strength.Learned.new(PARTS), rest, np.zeros(fit.B.shape[1]))


class Memory(NamedTuple):
    """What the member remembers of the market."""

    strength: strength.Memory
    rest: contextual.Memory

    @classmethod
    def new(cls, fit: Fit) -> "Memory":
        """No prediction yet."""
        regressors, agents = fit.B.shape
        rest = contextual.Memory.new(regressors)
        return cls(strength.Memory.new(PARTS, agents, len(rest.past)), rest)


def regressors(agents: int) -> int:
    """Return the length D of the regressor vector."""
    return COMMON + BLOCKS * agents


def parts(agents: int) -> Ints:
    """Return the part (D,) of a prediction to which each regressor belongs.

    Parts are a feature, the posterior, a crossed feature in ranges or elsewhere, and a block of agents' records.
    """
    elsewhere = np.arange(len(CROSSED)) + _POSTERIOR + 1
    ranging = np.isin(np.arange(len(REGIMES)), (HIGH, LOW))
    crossed = elsewhere[:, None] + len(CROSSED) * ranging
    blocks = np.arange(PARTS - BLOCKS, PARTS).repeat(agents)
    features, posterior = np.arange(_POSTERIOR), np.full(len(REGIMES), _POSTERIOR)
    return np.concatenate([features, posterior, crossed.ravel(), blocks])


@kernel
def regress(z: Floats, p: Floats, fast: Floats, slow: Floats, a: Floats, x: Floats) -> None:
    """Fill the regressors x (D,).

    z: (F,) scaled features; p: (7,) posterior of the regimes; fast, slow: (N,) EWMAs of the scores; a: (N,) targets.
    """
    n = a.shape[0]
    x[0] = 1.0
    for i in range(FEATURES):
        x[1 + i] = FEATURE_SCALE * z[i]
    for k in range(p.shape[0]):
        x[_POSTERIOR + k] = p[k]
    at = _CROSSED
    for i in CROSSED:
        for k in range(p.shape[0]):
            x[at] = FEATURE_SCALE * z[i] * p[k]
            at += 1
    drift = p[BULL] - p[BEAR] - p[CRISIS]
    ranging = p[HIGH] + p[LOW]
    trending = p[BULL] + p[BEAR] + p[BREAKOUT] + p[CRISIS]
    for i in range(n):
        x[COMMON + i] = FAST_SCALE * fast[i]
        x[COMMON + n + i] = SLOW_SCALE * slow[i]
        x[COMMON + 2 * n + i] = a[i] * drift
        x[COMMON + 3 * n + i] = abs(a[i]) * ranging
        x[COMMON + 4 * n + i] = abs(a[i]) * trending


@inlined
def learn(
    m: Learned, memory: Memory, gain: Floats, factors: Floats, ago: int, y: Floats, awake: Ints
) -> None:
    """One update: y (N,) is what came of the prediction in slot `ago`; sleeping agents do not move.

    gain: (D,) scratch; factors: (2, G) scratch of the strength.
    """
    x, parts, left = (
        memory.rest.past[ago],
        memory.strength.past[ago],
        m.mu,
    )  # mu: scratch until the next prediction
    contextual.predict(m.rest, x)
    for i in range(y.shape[0]):
        left[i] = y[i] - m.rest.mu[i]
    strength.learn(m.strength, factors, parts, left, awake, FORGET)
    for i in range(y.shape[0]):
        left[i] = y[i] - strength.predicted(m.strength, parts[i])
    contextual.learn(m.rest, gain, x, left, awake, FORGET)


@inlined
def predict(m: Learned, memory: Memory, fit: Fit, x: Floats, now: int) -> None:
    """Fill m.mu (N,) with the scores predicted from regressors x (D,), and keep x in slot `now`."""
    memory.rest.past[now, :] = x
    strength.split(fit.B, fit.part, x, memory.strength.past[now])
    contextual.predict(m.rest, x)
    for i in range(m.mu.shape[0]):
        m.mu[i] = m.rest.mu[i] + strength.predicted(m.strength, memory.strength.past[now, i])
