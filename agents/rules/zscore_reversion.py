"""Mean reversion: a position against the z-score of price around its exponential average."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import (
    COUNT,
    HEADER,
    TARGET,
    VARIANCE,
    RuleAgent,
    observe,
    rate,
    repeat,
    settle,
)

SPAN = 80
FULL = 1.5  # z at which the position is full
BAND = 0.25  # the target moves only by more than this
WARMUP = 160

AVERAGE, SIZE = range(HEADER, HEADER + 2)

# The distance of a random walk to its EMA has the variance s² _WALK / (1 - _WALK).
_WALK = (1.0 - 2.0 / (SPAN + 1.0)) ** 2
SCALE = _WALK / (1.0 - _WALK)


@kernel
def _step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action)
            continue
        observe(memory, price[i])
        memory[AVERAGE] += rate(SPAN, memory[COUNT]) * (price[i] - memory[AVERAGE])
        z = 0.0
        if memory[VARIANCE] > 0.0:
            z = math.log(price[i] / memory[AVERAGE]) / math.sqrt(SCALE * memory[VARIANCE])
        wanted = min(max(-z / FULL, -1.0), 1.0)
        if abs(wanted - memory[TARGET]) <= BAND:
            wanted = memory[TARGET]
        settle(memory, wanted, WARMUP, i, target, action)


class ZscoreReversion(RuleAgent):
    """Proposes -z / 1.5, clipped to [-1, 1], where z is the z-score of ln(price / EMA).

    The EMA has a span of 80 ticks. z counts standard deviations that a random walk of the present volatility has around
    its EMA. The target only moves by more than 0.25 at once, since smaller trades are not worth their cost (Davis and
    Norman 1990). Poterba and Summers 1988 for mean reversion; Bollinger 2001 for bands around an average.
    """

    name = "zscore_reversion"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
