"""The predictor: a small network an agent predicts its mean score of the next 32 good rows.

Regressors -> 128 -> 64 -> 1 with rectifiers. What all agents see (scaled features, regime posterior) is shared, the
rest is the agent's own, so an agent's network does not depend on who the others are. The weights come from the
feedback stage; here they are only used. Loops in a fixed order, float32 as in training. What people call is
`windvane.AlgorithmPerformancePredictor`.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import regimes, weights
from windvane.metamodel.base.upgrading import Upcast
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.members.contextual import FAST_SCALE, FEATURE_SCALE, SLOW_SCALE

EVERY = 8
"""Good rows between two predictions."""

REGIMES = len(regimes.REGIMES)
OWN = 5
"""Regressors of an agent's own: two EWMAs of its score, its target, its size, its target times the drift."""

_HALF_LIVES = (96.0, 768.0)
"""Of these EWMAs, in good rows, where `agent_history_features` is 20; they go with it."""

HIDDEN = (128, 64)
SCALE = 4.0
"""What the network says is the score times this: so large that its variance is about a half."""

_LARGEST, _FLOAT32 = 1e6, 1e37
"""No regressor is as large as the first, and what is below the second fits into float32, SCALE and all."""

PARTS = ("w1", "b1", "w2", "b2", "w3", "b3")


class Layers(NamedTuple):
    """The weights of N networks, one for each agent, with D regressors; all float32."""

    w1: np.ndarray  # (N, D, 128)
    b1: np.ndarray  # (N, 128)
    w2: np.ndarray  # (N, 128, 64)
    b2: np.ndarray  # (N, 64)
    w3: np.ndarray  # (N, 64)
    b3: np.ndarray  # (N,)


class Learned(NamedTuple):
    """What the member learns: the weights it was given, and where they have led it."""

    use: Ints  # (2,) 1 where `layers`, `before` hold weights
    layers: Layers
    before: Layers  # what was in use before the last swap
    mu: Floats  # (N,) predicted mean score of the next 32 good rows
    best: Floats  # (N,) where the member is heading


class Memory(NamedTuple):
    """What the member remembers of the market."""

    fast: Floats  # (N,) EWMAs of scores
    slow: Floats  # (N,)


class Scratch(NamedTuple):
    """What a prediction writes before it reads it."""

    common: np.ndarray  # (F + 7,) regressors that all agents see
    own: np.ndarray  # (N, 5) regressors of every agent's own
    h1: np.ndarray  # (128,) hidden units
    h2: np.ndarray  # (64,)

    @classmethod
    def new(cls, features: int, agents: int) -> "Scratch":
        """Room for the predictions of N agents from F features."""
        return cls(
            np.zeros(features + REGIMES, np.float32),
            np.zeros((agents, OWN), np.float32),
            np.zeros(HIDDEN[0], np.float32),
            np.zeros(HIDDEN[1], np.float32),
        )


def shapes(features: int, agents: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the layers for F features and N agents."""
    first, second = HIDDEN
    return {
        "w1": (agents, features + REGIMES + OWN, first),
        "b1": (agents, first),
        "w2": (agents, first, second),
        "b2": (agents, second),
        "w3": (agents, second),
        "b3": (agents,),
    }


def rates(history: int) -> Floats:
    """(2,) steps of the EWMAs of scores, fast and slow, where `agent_history_features` is `history`."""
    return np.array([1.0 - 0.5 ** (1.0 / (half_life * history / 20.0)) for half_life in _HALF_LIVES])


def untrained(features: int, agents: int, enabled: bool) -> Learned:
    """A member without weights; not enabled: without room for any."""
    wanted = shapes(features, agents)
    room = {n: s if enabled else (0,) * len(s) for n, s in wanted.items()}
    return Learned(
        np.zeros(2, np.int64),
        Layers(**{name: np.zeros(shape, np.float32) for name, shape in room.items()}),
        Layers(**{name: np.zeros(shape, np.float32) for name, shape in room.items()}),
        np.zeros(agents),
        np.full(agents, 1.0 / agents),
    )


UPCASTS: tuple[Upcast, ...] = ()
"""What turns weights of an older release into weights of this one: `windvane.metamodel.base.upgrading` says how."""


def load(raw: bytes, features: int, agents: int) -> Layers:
    """Read layers from safetensors; raises WeightsError where they are not N networks of F features, or not finite."""
    tensors = weights.as_now(weights.from_bytes(raw), {}, UPCASTS, "a predictor")
    for name, shape in shapes(features, agents).items():
        if name not in tensors or tensors[name].shape != shape:
            raise WeightsError(f"the predictor needs a tensor {name} of shape {shape}")
    with np.errstate(over="ignore"):
        layers = Layers(**{name: tensors[name].astype(np.float32) for name in PARTS})
    for name, value in layers._asdict().items():
        if not np.isfinite(value).all():
            raise WeightsError(f"tensor {name} of the predictor holds NaN or inf, as float32")
    check(layers)
    return layers


def check(layers: Layers) -> None:
    """Raise WeightsError for finite weights whose predictions are not, or could be not: regressors are bounded."""
    agents, regressors = layers.w1.shape[:2]
    scratch, mu = Scratch.new(regressors - OWN - REGIMES, agents), np.zeros(agents)
    for size in (0.0, 5.0, -5.0):
        scratch.common[:], scratch.own[:] = size, size
        forward(layers, scratch, mu)
        if not np.isfinite(mu).all():
            raise WeightsError("the predictor's weights give NaN or inf on a canary state")
    if not _bounded(layers):
        raise WeightsError(
            "the predictor's weights are so large that its sums could overflow: train them again"
        )


def _bounded(layers: Layers) -> bool:
    """Whether no sum in a network can overflow, whatever the regressors; float64, in which these cannot either."""
    w1, b1, w2, b2, w3, b3 = (np.abs(part, dtype=np.float64) for part in layers)
    h1 = _LARGEST * w1.sum(axis=1) + b1
    h2 = (h1[:, :, None] * w2).sum(axis=1) + b2
    last = (h2 * w3).sum(axis=1) + b3
    return bool(max(part.max() for part in (h1, h2, last)) < _FLOAT32)


def swap(m: Learned, layers: Layers) -> None:
    """Use these weights from now on, and keep those before for `roll_back`."""
    for old, current, fresh in zip(m.before, m.layers, layers, strict=True):
        old[...] = current
        current[...] = fresh
    m.use[1], m.use[0] = m.use[0], 1


def roll_back(m: Learned) -> bool:
    """Use the weights from before the last swap; returns whether there were any."""
    if m.use[1] == 0:
        return False
    for old, current in zip(m.before, m.layers, strict=True):
        current[...] = old
    m.use[1] = 0
    return True


@inlined
def remember(m: Memory, rates: Floats, gn: Floats, awake: Ints) -> None:
    """Update the EWMAs fast and slow (N,) by the scores gn (N,) of the agents that are awake."""
    for i in range(gn.shape[0]):
        if awake[i]:
            m.fast[i] += rates[0] * (gn[i] - m.fast[i])
            m.slow[i] += rates[1] * (gn[i] - m.slow[i])


@kernel
def regress(
    z: Floats,
    p: Floats,
    drift: float,
    fast: Floats,
    slow: Floats,
    a: Floats,
    common: np.ndarray,
    own: np.ndarray,
) -> None:
    """Fill the regressors common (F + 7,) and own (N, 5).

    z: (F,) scaled features; p: (7,) posterior; drift: the scaled 128-tick trend; fast, slow: (N,) EWMAs of scores; a:
    (N,) targets.
    """
    f = z.shape[0]
    for i in range(f):
        common[i] = FEATURE_SCALE * z[i]
    for k in range(p.shape[0]):
        common[f + k] = p[k]
    for i in range(a.shape[0]):
        own[i, 0] = FAST_SCALE * fast[i]
        own[i, 1] = SLOW_SCALE * slow[i]
        own[i, 2] = a[i]
        own[i, 3] = abs(a[i])
        own[i, 4] = FEATURE_SCALE * a[i] * drift


@kernel
def forward(layers: Layers, scratch: Scratch, mu: Floats) -> None:
    """Fill mu (N,) from the regressors in scratch."""
    common, own, h1, h2 = scratch
    shared = common.shape[0]
    zero = np.float32(0.0)
    for i in range(own.shape[0]):
        for j in range(h1.shape[0]):
            h1[j] = layers.b1[i, j]
        for d in range(shared):
            x = common[d]
            for j in range(h1.shape[0]):
                h1[j] += x * layers.w1[i, d, j]
        for d in range(own.shape[1]):
            x = own[i, d]
            for j in range(h1.shape[0]):
                h1[j] += x * layers.w1[i, shared + d, j]
        for j in range(h2.shape[0]):
            h2[j] = layers.b2[i, j]
        for d in range(h1.shape[0]):
            x = max(h1[d], zero)
            for j in range(h2.shape[0]):
                h2[j] += x * layers.w2[i, d, j]
        total = layers.b3[i]
        for j in range(h2.shape[0]):
            total += max(h2[j], zero) * layers.w3[i, j]
        mu[i] = total / SCALE
