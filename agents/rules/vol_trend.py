"""Volatility-scaled trend: follow a long trend, with a smaller position while volatility is above its average."""

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
def _step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action)
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
        if abs(wanted - memory[TARGET]) <= BAND:
            wanted = memory[TARGET]
        settle(memory, wanted, WARMUP, i, target, action)


class VolTrend(RuleAgent):
    """Proposes tanh(z), scaled down by slow / s while volatility s is above its own long average.

    z is the EWMA of log returns (span 384 ticks) over its standard error, s / sqrt(384), so that it has a variance of
    about 1 on a random walk. slow is the root of an EWMA of s² (span 8000), so no constant decides which volatility is
    high. The target only moves by more than 0.15 at once.
    Moskowitz, Ooi and Pedersen 2012; Moreira and Muir 2017, "Volatility-managed portfolios".
    """

    name = "vol_trend"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
