"""From weights to one target: the weighted sum of the agents' targets, followed only when it has moved enough.

With costs in proportion to what is traded, it is best not to trade while the position is inside a region around the
wanted one, and otherwise to trade to the edge of that region (Davis and Norman 1990). Its width grows with the
disagreement of the agents: where all want the same, there is no region.
"""

import math

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.kernel import inlined, kernel


@inlined
def weighted(w: Floats, a: Floats) -> float:
    """Return the sum of the agents' targets a (N,), weighted by w (N,)."""
    total = 0.0
    for i in range(w.shape[0]):
        total += w[i] * a[i]
    return total


@inlined
def aim(w: Floats, a: Floats, band: float, last: float) -> float:
    """Return the wanted target: `last`, or the nearest to it within `band` standard deviations of the weighted sum.

    w: (N,) weights, under which the standard deviation is taken; a: (N,) the agents' targets.
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
    """Return the targets of n rows, (n,), for weights (n, N) and the agents' targets (n, N), from no position on."""
    out = np.empty(len(weights))
    last = 0.0
    for t in range(len(weights)):
        last = aim(weights[t], targets[t], band, last)
        out[t] = last
    return out
