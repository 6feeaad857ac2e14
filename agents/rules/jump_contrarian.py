"""Contrarian on jumps: against any move of more than three volatilities, for twelve ticks."""

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import HEADER, RuleAgent, observe, repeat, settle

THRESHOLD = 3.0  # volatilities
HOLD = 12  # ticks
WARMUP = 128

SIDE, LEFT, SIZE = range(HEADER, HEADER + 3)


@kernel
def _step(
    price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints, confidence: Floats
) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action, confidence)
            continue
        _, u = observe(memory, price[i])
        if abs(u) > THRESHOLD:
            memory[SIDE] = -1.0 if u > 0.0 else 1.0
            memory[LEFT] = HOLD
        wanted = memory[SIDE] if memory[LEFT] > 0.0 else 0.0
        belief = memory[LEFT] / HOLD
        memory[LEFT] = max(memory[LEFT] - 1.0, 0.0)
        settle(memory, wanted, belief, WARMUP, i, target, action, confidence)


class JumpContrarian(RuleAgent):
    """-sign(u) for 12 ticks from any |u| > 3, counted from the latest; confidence is the share left.

    De Bondt and Thaler 1985 for overreaction; Zawadowski, Andor and Kertesz 2006 for its form within the day.
    """

    name = "jump_contrarian"
    warmup = WARMUP
    size = SIZE
    step = staticmethod(_step)
