"""Agents as other people write them: tests name them as `guests:Class`, and look at what was made of them."""

from typing import Any, ClassVar

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.rules import DonchianBreakout

ABROAD = "guests"
"""The module as words name it."""


class Breakout(DonchianBreakout):
    """The built-in rule, which nobody here knows to be one."""

    name = "breakout"
    version = "2024.1"


class Drift(Agent):
    """Plain numpy: the sign of the last move that was one."""

    name = "drift"
    version = "3"
    warmup = 1
    made: ClassVar[list["Drift"]] = []

    def __init__(self) -> None:
        self.last, self.side = np.zeros(1), np.zeros(1)
        self.made.append(self)

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        n = len(price)
        target, action, confidence = np.zeros(n), np.zeros(n, np.int64), np.zeros(n)
        for t in range(n):
            before = self.side[0]
            if good[t]:
                if self.last[0] > 0.0 and price[t] != self.last[0]:
                    self.side[0] = 1.0 if price[t] > self.last[0] else -1.0
                self.last[0] = price[t]
                confidence[t] = 0.5 * abs(self.side[0])
            target[t], action[t] = self.side[0], int(np.sign(self.side[0] - before))
        return Proposal(target, action, confidence)

    def state(self) -> dict[str, Floats]:
        return {"last": self.last.copy(), "side": self.side.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        self.last, self.side = state["last"].copy(), state["side"].copy()


class Vandal(Drift):
    """Writes into whatever it is handed."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        proposal = super().propose(x, price, good)
        x[:], price[:], good[:] = 0.0, 1.0, 0
        return proposal


class Greedy(Drift):
    """Wants more than there is."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        return super().propose(x, price, good)._replace(target=np.full(len(price), 2.0))


class Unwell(Drift):
    """Fails in its own code."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        raise KeyError("trend\nof two lines")


class Short(Drift):
    """Answers one row only."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        return Proposal(*(part[:1] for part in super().propose(x, price, good)))


class Wordy(Drift):
    """Remembers what no state can hold."""

    def state(self) -> dict[str, Any]:
        return {"last": "yesterday"}


class Broken(Drift):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no licence")


class Stranger:
    """No agent at all."""


class Prophet(Drift):
    """Looks one row ahead."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        return super().propose(x, np.append(price[1:], price[-1]), good)


class Measured(Drift):
    """Is the surer the higher the price."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        said = super().propose(x, price, good)
        return said._replace(confidence=said.confidence * np.tanh(price / 1e6))


class Forgetful(Drift):
    """Begins anew with every call."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        self.last, self.side = np.zeros(1), np.zeros(1)
        return super().propose(x, price, good)


class Restless(Drift):
    """Takes every row for news."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        return super().propose(x, price * (1.0 + 1e-3 * (good == 0)), np.ones_like(good))


class Sharing(Drift):
    """Hands out what it goes on to write to."""

    def state(self) -> dict[str, Floats]:
        return {"last": self.last, "side": self.side}


class Moody(Drift):
    """Another one each time that it is made."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        said = super().propose(x, price, good)
        return said._replace(confidence=said.confidence / (1.0 + len(self.made)))


class Careless(Drift):
    """Its action is not the change of its target."""

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        said = super().propose(x, price, good)
        return said._replace(action=np.zeros_like(said.action))


class Amnesiac(Drift):
    """Restores nothing."""

    def restore(self, state: dict[str, Floats]) -> None:
        pass
