"""Buy and hold: the position of somebody who has no view of the market."""

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.rules.rule import HEADER, RuleAgent, observe, repeat, settle


@kernel
def _step(price: Floats, good: Ints, memory: Floats, target: Floats, action: Ints) -> None:
    for i in range(price.shape[0]):
        if good[i] == 0:
            repeat(memory, i, target, action)
            continue
        observe(memory, price[i])
        settle(memory, 1.0, 0, i, target, action)


class BuyAndHold(RuleAgent):
    """Proposes target 1 from the first good row on, as a passive investor does.

    Sharpe 1991, "The arithmetic of active management".
    """

    name = "buy_and_hold"
    warmup = 0
    size = HEADER
    step = staticmethod(_step)
