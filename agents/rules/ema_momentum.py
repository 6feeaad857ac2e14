"""Momentum: the distance of a fast and a slow exponential average of price."""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import COUNT, HEADER, VARIANCE, RuleAgent, observe, rate, repeat, settle

FAST_SPAN, SLOW_SPAN = 24, 96
FULL = 5.0  # volatilities of distance at which tanh is about three quarters
WARMUP = 192

FAST, SLOW, SIZE = range(HEADER, HEADER + 3)


@kernel
def _step(
    price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints, confidence: Floats
) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action, confidence)
            continue
        observe(memory, price[i])
        memory[FAST] += rate(FAST_SPAN, memory[COUNT]) * (price[i] - memory[FAST])
        memory[SLOW] += rate(SLOW_SPAN, memory[COUNT]) * (price[i] - memory[SLOW])
        wanted = 0.0
        if memory[VARIANCE] > 0.0:
            distance = math.log(memory[FAST] / memory[SLOW]) / math.sqrt(memory[VARIANCE])
            wanted = math.tanh(distance / FULL)
        settle(memory, wanted, abs(wanted), WARMUP, i, target, action, confidence)


class EmaMomentum(RuleAgent):
    """tanh of ln(EMA 24 / EMA 96) over 5 volatilities; confidence is the size of the target.

    Moskowitz, Ooi and Pedersen 2012 for the effect; Baz et al. 2015, "Dissecting investment strategies in the
    cross section and time series", for crossovers scaled by volatility.
    """

    name = "ema_momentum"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
