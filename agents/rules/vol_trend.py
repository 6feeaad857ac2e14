"""Volatility-scaled trend: how sure the long trend is, less where volatility is high for its own past."""

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

SPAN = 384
SLOW_SPAN = 8000  # of the variance that today's is compared with
BAND = 0.15  # the target moves only by more than this
WARMUP = SPAN

TREND, SLOW, SIZE = range(HEADER, HEADER + 3)


@kernel
def _step(
    price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints, confidence: Floats
) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action, confidence)
            continue
        r, _ = observe(memory, price[i])
        if memory[COUNT] > 1.0:
            returns = memory[COUNT] - 1.0
            memory[TREND] += rate(SPAN, returns) * (r - memory[TREND])
            memory[SLOW] += rate(SLOW_SPAN, returns) * (memory[VARIANCE] - memory[SLOW])
        signal = 0.0
        if memory[VARIANCE] > 0.0:
            signal = memory[TREND] * math.sqrt(SPAN / memory[VARIANCE])
        wanted = math.tanh(signal)
        if memory[VARIANCE] > memory[SLOW]:
            wanted *= math.sqrt(memory[SLOW] / memory[VARIANCE])
        belief = abs(wanted)
        if abs(wanted - memory[TARGET]) <= BAND:
            wanted = memory[TARGET]
        settle(memory, wanted, belief, WARMUP, i, target, action, confidence)


class VolTrend(RuleAgent):
    """tanh of the 384-tick EWMA of returns in standard errors, times slow over present volatility if below 1.

    A random walk gives that ratio unit variance. The target moves only by more than .15;
    confidence is the size of the target before that band. The slow volatility is the agent's own (span 8000),
    so no constant sets what is high. Moskowitz, Ooi and Pedersen 2012; Moreira and Muir 2017,
    "Volatility-managed portfolios".
    """

    name = "vol_trend"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
