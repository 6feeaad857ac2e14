"""From weights to one target: the weighted sum of the agents' targets, followed only where it has moved enough.

With costs in proportion to what is traded, the best is not to trade inside a region around what is wanted, and
outside of it to trade to its edge (Davis and Norman 1990). How wide it is goes with how much the agents disagree: where
all of them want the same it is what is wanted.
"""

import math

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import inlined, kernel


@inlined
def weighted(w: Floats, a: Floats) -> float:
    """The weighted sum of targets a (N,)."""
    total = 0.0
    for i in range(w.shape[0]):
        total += w[i] * a[i]
    return total


@inlined
def aim(w: Floats, a: Floats, band: float, last: float) -> float:
    """The target that is wanted: `last`, or as near to it as lies within `band` standard deviations of the sum.

    Both are of the agents' targets a (N,) under the weights w (N,).
    """
    mass = 0.0
    for i in range(w.shape[0]):
        mass += w[i]
    total = weighted(w, a)
    if mass <= 0.0:
        return total
    spread = 0.0
    for i in range(w.shape[0]):
        deviation = a[i] - total / mass
        spread += w[i] * deviation * deviation
    width = band * math.sqrt(spread * mass)
    return min(max(last, total - width), total + width)


@kernel
def follow(weights: Floats, targets: Floats, band: float) -> Floats:
    """(n,) targets of n rows: weights (n, N), targets (n, N) of the agents, starting flat."""
    out = np.empty(len(weights))
    last = 0.0
    for t in range(len(weights)):
        last = aim(weights[t], targets[t], band, last)
        out[t] = last
    return out
