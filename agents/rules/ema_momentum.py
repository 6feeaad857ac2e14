"""Momentum: the distance between a fast and a slow exponential average of price."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import COUNT, HEADER, VARIANCE, RuleAgent, observe, rate, repeat, settle

FAST_SPAN, SLOW_SPAN = 24, 96
FULL = 5.0  # volatilities of distance at which tanh is about three quarters
WARMUP = 192

FAST, SLOW, SIZE = range(HEADER, HEADER + 3)


@kernel
def _step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action)
            continue
        observe(memory, price[i])
        memory[FAST] += rate(FAST_SPAN, memory[COUNT]) * (price[i] - memory[FAST])
        memory[SLOW] += rate(SLOW_SPAN, memory[COUNT]) * (price[i] - memory[SLOW])
        wanted = 0.0
        if memory[VARIANCE] > 0.0:
            distance = math.log(memory[FAST] / memory[SLOW]) / math.sqrt(memory[VARIANCE])
            wanted = math.tanh(distance / FULL)
        settle(memory, wanted, WARMUP, i, target, action)


class EmaMomentum(RuleAgent):
    """Proposes tanh(ln(fast / slow) / (5 s)): long while the fast average of price is above the slow one.

    fast and slow are EMAs of price with spans 24 and 96 ticks, s is the volatility a tick.

    Moskowitz, Ooi and Pedersen 2012 for the effect; Baz et al. 2015, "Dissecting investment strategies in the
    cross section and time series", for crossovers scaled by volatility.
    """

    name = "ema_momentum"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
