"""The interface of an agent: it reads the features of a market and proposes a target position."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Proposal(NamedTuple):
    """The proposals of one agent for n ticks; every array is (n,)."""

    target: Floats  # target position in [-1, 1], in units of capital
    action: Ints  # -1 sell, 0 hold, 1 buy: the sign of the wanted change of target
    confidence: Floats  # in [0, 1]


class Agent(ABC):
    """A trading policy that is stepped through ticks in order and remembers what it has seen.

    A subclass keeps three promises, which the tests check. It is scale-free: multiplying all prices and volumes by a
    positive constant does not change its proposals. It is causal: the proposal of row t depends on rows up to and
    including t only. It does not see how rows are cut into calls: one call with n rows and n calls with one row
    give the same bits.
    """

    name: str
    version: str = "1"
    warmup: int = 0
    """Good ticks (ticks with new information) that the agent needs before its proposals mean anything."""

    @abstractmethod
    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """Take in the next n ticks and return a proposal for each.

        x: (n, 50) raw features, columns in the order of `windvane.metamodel.features.extractor.NAMES`.
        price: (n,) last good price, above 0.
        good: (n,) 1 where the row carries new information, 0 where it repeats the last one. For a row with 0 the
        agent repeats its last target with confidence 0, and its state does not change.
        """

    @abstractmethod
    def state(self) -> dict[str, Floats]:
        """Return copies of all arrays that `propose` remembers between calls, by name."""

    @abstractmethod
    def restore(self, state: dict[str, Floats]) -> None:
        """Replace what the agent remembers by what `state` of an agent of the same class and version returned.

        Raises ValueError where the arrays do not fit this agent.
        """
