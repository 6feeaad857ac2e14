"""What the rule agents share: a flat memory, one kernel call for all rows, and a volatility known before each tick.

The first cells of every agent's memory are the header below; the agent's own cells follow from `HEADER`.
"""

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.confidence import Confidence
from windvane.agents.kernel import kernel
from windvane.agents.rules.calibrations import CALIBRATIONS

COUNT, LAST, VARIANCE, TARGET, HEADER = range(5)

SPAN = 128
CLIP = 36.0


@kernel
def rate(span: float, count: float) -> float:
    """Weight of input number `count` (from 1) in an exponential average with a span of `span` ticks.

    The average is the plain mean of its first (span + 1) / 2 inputs, so it is unbiased from the start.
    """
    return max(2.0 / (span + 1.0), 1.0 / count)


@kernel
def observe(memory: Floats, price: float) -> tuple[float, float]:
    """Take one good price into the header of `memory`, and return the log return r and u = r / s.

    s is the volatility a tick as it was known before this price: the root of the EWMA (span 128) of r². Inputs of
    that EWMA are clipped at 36 s², so that after one jump the agent still notices the next. u is 0 while s is 0.
    """
    memory[COUNT] += 1.0
    last = memory[LAST]
    memory[LAST] = price
    if memory[COUNT] == 1.0:
        return 0.0, 0.0
    r = math.log(price / last)
    variance = memory[VARIANCE]
    square = r * r
    u = 0.0
    if variance > 0.0:  # a market that has never moved sets no limit to its first move
        u = r / math.sqrt(variance)
        square = min(square, CLIP * variance)
    memory[VARIANCE] = variance + rate(SPAN, memory[COUNT] - 1.0) * (square - variance)
    return r, u


@kernel
def settle(memory: Floats, wanted: float, warmup: int, row: int, target: Floats, action: Ints) -> None:
    """Write the proposal of one good row into place `row` of the output arrays, and remember its target.

    wanted: the target, clipped to [-1, 1]; it is 0 in the first `warmup` good rows.
    """
    if memory[COUNT] <= warmup:
        wanted = 0.0
    new = min(max(wanted, -1.0), 1.0)
    old = memory[TARGET]
    target[row] = new
    action[row] = 1 if new > old else (-1 if new < old else 0)
    memory[TARGET] = new


@kernel
def repeat(memory: Floats, row: int, target: Floats, action: Ints) -> None:
    """Write the proposal of a row without new information: the last target again."""
    target[row] = memory[TARGET]
    action[row] = 0


class RuleAgent(Agent):
    """An agent that is a fixed rule on price: a memory of `size` floats and a kernel, `step`, that updates it.

    Its confidence is that of `windvane.agents.confidence`, as it was calibrated for the rule of its name.
    """

    size: ClassVar[int]

    def __init__(self) -> None:
        self._memory = np.zeros(self.size)
        self._confidence = Confidence(CALIBRATIONS.get(self.name))

    @staticmethod
    @abstractmethod
    def step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
        """Step through `price` and `good` (n,): update `memory` (size,) in place and fill target and action (n,)."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        n = len(price)
        target = np.empty(n)
        action = np.empty(n, np.int64)
        self.step(price, good, self._memory, target, action)
        return Proposal(target, action, self._confidence.step(x, price, good, target))

    def state(self) -> dict[str, Floats]:
        return {"memory": self._memory.copy(), "confidence": self._confidence.memory.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        memory = np.array(state["memory"], dtype=np.float64)
        if memory.shape != (self.size,):
            raise ValueError(
                f"the memory of {self.name} has {self.size} numbers, the state has shape {memory.shape}: "
                f"restore the state of the same agent and version"
            )
        self._confidence.restore(state.get("confidence"))
        self._memory = memory
