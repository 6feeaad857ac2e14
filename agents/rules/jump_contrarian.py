"""Contrarian on jumps: a position against any move of more than three volatilities, for twelve ticks."""

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import HEADER, RuleAgent, observe, repeat, settle

THRESHOLD = 3.0  # volatilities
HOLD = 12  # ticks
WARMUP = 128

SIDE, LEFT, SIZE = range(HEADER, HEADER + 3)


@kernel
def _step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action)
            continue
        _, u = observe(memory, price[i])
        if abs(u) > THRESHOLD:
            memory[SIDE] = -1.0 if u > 0.0 else 1.0
            memory[LEFT] = HOLD
        wanted = memory[SIDE] if memory[LEFT] > 0.0 else 0.0
        memory[LEFT] = max(memory[LEFT] - 1.0, 0.0)
        settle(memory, wanted, WARMUP, i, target, action)


class JumpContrarian(RuleAgent):
    """Proposes -sign(u) for 12 ticks after a jump, |u| > 3, where u is the log return over the volatility a tick.

    A new jump starts the 12 ticks again.

    De Bondt and Thaler 1985 for overreaction; Zawadowski, Andor and Kertesz 2006 for its form within the day.
    """

    name = "jump_contrarian"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
