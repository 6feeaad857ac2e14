"""Fixed-Share: weights that follow the best member and let the best one change.

Herbster and Warmuth 1998, section 3: exponential weights, of which a share alpha goes back to the prior after every
row.
"""

import math

from windvane.agents.base import Floats
from windvane.agents.kernel import inlined

_DECAY = 0.5 ** (1.0 / 4000.0)
_LEAST = 0.15  # scores are never divided by less
_CLIP = 4.0

CASH = 0.1
"""Prior of cash, where it takes part."""


@inlined
def learn(score: Floats, square: Floats, prior: Floats, eta: float, alpha: float, weight: Floats) -> float:
    """Move the members' weights (M,) by their normalised net scores (M,); returns the factor that the mixture grew by.

    square: (M,) EWMA (half-life 4000) of squared scores, by whose root a score is divided; prior: (M,), sums to 1.
    """
    m = score.shape[0]
    total = 0.0
    for i in range(m):
        square[i] = _DECAY * square[i] + (1.0 - _DECAY) * score[i] * score[i]
        g = score[i] / max(_LEAST, math.sqrt(square[i]))
        weight[i] *= math.exp(eta * min(max(g, -_CLIP), _CLIP))
        total += weight[i]
    for i in range(m):
        weight[i] = (1.0 - alpha) * weight[i] / total + alpha * prior[i]
    return total


@inlined
def idle(growth: float, prior: float, alpha: float, cash: float) -> float:
    """Return the weight of cash, which always scores 0, beside a mixture that grew by the factor `growth`.

    prior: of cash, 0 where it takes no part; cash: its weight before.
    """
    return (1.0 - alpha) * cash / (cash + (1.0 - cash) * growth) + alpha * prior
