"""The network of the regime classifier and what it remembers: one recurrent step, and the posterior that follows.

Its loops have a fixed order, so that the bits are the same for any cut of the rows.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.features.scaler import CLIP

GOOD, LABEL, MOVES = range(3)
"""Places in Memory.seen: good rows so far, index of the label shown, how often it changed."""

KEPT = 100
"""Changes of the label that are remembered one by one."""


class Network(NamedTuple):
    """F features in, H hidden units, K regimes out. Gates stand in the order reset, update, new (Cho et al. 2014)."""

    columns: Ints  # (F,) places of the features in a row
    centre: Floats  # (F,)
    spread: Floats  # (F,)
    absent: Ints  # (F,) 1 where a raw value of exactly 0 says that the source has no quotes or no sizes
    inward: Floats  # (F, 3 H)
    inward_bias: Floats  # (3 H,)
    back: Floats  # (H, 3 H)
    back_bias: Floats  # (3 H,)
    out: Floats  # (H, K)
    out_bias: Floats  # (K,)
    tilt: Floats  # (K,) what posteriors are multiplied by before the largest is shown


class Memory(NamedTuple):
    """Everything that the classifier remembers between rows; W is the window of its stability."""

    seen: Ints  # (3,)
    hidden: Floats  # (H,)
    posterior: Floats  # (K,)
    recent: Ints  # (W,) ring of the labels shown, -1 where there was none yet
    held: Ints  # (K,) how often each is in it
    moves: Ints  # (K, K) changes of the label, from row to column
    last: Ints  # (KEPT, 3) ring of changes: index of the good row, from, to


def new_memory(hidden: int, prior: Floats, label: int, window: int) -> Memory:
    """Return the state before the first row: the posterior is the prior, and `label` is shown."""
    regimes = len(prior)
    return Memory(
        np.array([0, label, 0]),
        np.zeros(hidden),
        prior.copy(),
        np.full(window, -1, np.int64),
        np.zeros(regimes, np.int64),
        np.zeros((regimes, regimes), np.int64),
        np.zeros((KEPT, 3), np.int64),
    )


@inlined
def _squash(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


@kernel
def update(net: Network, m: Memory, row: Floats, a: Floats, b: Floats) -> None:
    """One recurrent step on the features of a row; a and b: (3 H,) scratch."""
    units = m.hidden.shape[0]
    for j in range(3 * units):
        a[j] = net.inward_bias[j]
        b[j] = net.back_bias[j]
    for i in range(net.columns.shape[0]):
        z = (row[net.columns[i]] - net.centre[i]) / net.spread[i]
        z = min(max(z, -CLIP), CLIP)
        if net.absent[i] and row[net.columns[i]] == 0.0:
            z = -CLIP  # as no source that has them ever looks
        for j in range(3 * units):
            a[j] += z * net.inward[i, j]
    for i in range(units):
        z = m.hidden[i]
        for j in range(3 * units):
            b[j] += z * net.back[i, j]
    for j in range(units):
        reset = _squash(a[j] + b[j])
        update = _squash(a[units + j] + b[units + j])
        new = math.tanh(a[2 * units + j] + reset * b[2 * units + j])
        m.hidden[j] = (1.0 - update) * new + update * m.hidden[j]


@kernel
def softmax(net: Network, m: Memory) -> None:
    """Posterior from the hidden units."""
    p, regimes = m.posterior, net.out.shape[1]
    for k in range(regimes):
        p[k] = net.out_bias[k]
    for i in range(net.out.shape[0]):
        for k in range(regimes):
            p[k] += m.hidden[i] * net.out[i, k]
    highest = p[0]
    for k in range(1, regimes):
        highest = max(highest, p[k])
    total = 0.0
    for k in range(regimes):
        p[k] = math.exp(p[k] - highest)
        total += p[k]
    for k in range(regimes):
        p[k] /= total
