"""The recurrent step of the regime classifier: loops in a fixed order, the same bits for any cut of the rows."""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.rows import REPEATED
from windvane.metamodel.features.extractor import WARMUP
from windvane.metamodel.features.scaler import CLIP

EVERY = 4
"""Good rows between two updates."""

GOOD, LABEL, MOVES = range(3)
"""Places in Memory.seen: good rows so far, index of the label shown, how often it changed."""

HOLD = 1.1
"""How many times the tilted posterior of the label shown another one's must be before it is shown instead.

Chosen on the validation seeds: labels that would flicker stay, and a true change shows a few rows later.
"""

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
def _update(net: Network, m: Memory, row: Floats, a: Floats, b: Floats) -> None:
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
def _softmax(net: Network, m: Memory) -> None:
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


@inlined
def shown(tilt: Floats, p: Floats, before: int) -> int:
    """Return the index of the label to show for a posterior p (K,), where `before` was shown before.

    tilt: (K,) factors by which a posterior is multiplied before its largest entry is taken.
    """
    best = 0
    for k in range(1, p.shape[0]):
        if p[k] * tilt[k] > p[best] * tilt[best]:
            best = k
    return best if p[best] * tilt[best] > HOLD * p[before] * tilt[before] else before


@kernel
def classify(net: Network, m: Memory, flags: Ints, x: Floats, posterior: Floats) -> None:
    """Step through n rows: flags (n,), x (n, 50) raw features; fills posterior (n, K).

    Only good rows count; the first update is at the first row past the warm-up, then one every EVERY good rows.
    """
    a, b = np.empty(net.inward.shape[1]), np.empty(net.inward.shape[1])
    window = m.recent.shape[0]
    for t in range(flags.shape[0]):
        if flags[t] & REPEATED == 0:
            k = m.seen[GOOD]
            m.seen[GOOD] += 1
            if k >= WARMUP:
                if (k - WARMUP) % EVERY == 0:
                    _update(net, m, x[t], a, b)
                    _softmax(net, m)
                    _show(net, m, k)
                place = k % window
                if m.recent[place] >= 0:
                    m.held[m.recent[place]] -= 1
                m.recent[place] = m.seen[LABEL]
                m.held[m.seen[LABEL]] += 1
        posterior[t, :] = m.posterior


@kernel
def _show(net: Network, m: Memory, k: int) -> None:
    """Choose the label at good row k, and remember the change if it is one."""
    before = m.seen[LABEL]
    now = shown(net.tilt, m.posterior, before)
    m.seen[LABEL] = now
    if now != before:
        place = m.seen[MOVES] % KEPT
        m.last[place, 0], m.last[place, 1], m.last[place, 2] = k, before, now
        m.seen[MOVES] += 1
        m.moves[before, now] += 1


@kernel
def labels(tilt: Floats, posterior: Floats, before: int, out: Ints) -> None:
    """Write the label to show at every row of posterior (n, K) into out (n,), where `before` was shown before."""
    for t in range(out.shape[0]):
        before = shown(tilt, posterior[t], before)
        out[t] = before
