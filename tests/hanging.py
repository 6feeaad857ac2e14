"""An agent that hangs, or dies, at a price; processes of their own import it as `hanging:Hangs`."""

import os
import time

from guests import Drift
from windvane.agents.base import Floats, Ints, Proposal

HANGS_AT, DIES_AT = 123.5, 321.5


class Hangs(Drift):
    """Drift, but at two prices."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        if HANGS_AT in price:
            time.sleep(1e6)
        if DIES_AT in price:
            os._exit(3)
        return super().propose(x, price, good)


class Mute(Drift):
    """Cannot be made where it is the child's."""

    def __init__(self) -> None:
        super().__init__()
        print("what an agent prints is nobody's answer")  # noqa: T201


class Slow(Drift):
    """Takes long for the first answer of its process, as what compiles does, and says nothing where it knows a key."""

    ready = False

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        if not Slow.ready:
            time.sleep(1.0)
            Slow.ready = True
        if any(name.startswith("WINDVANE_") and name != "WINDVANE_CACHE" for name in os.environ):
            raise ValueError("a key of the program is here")
        return super().propose(x, price, good)
