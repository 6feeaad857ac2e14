"""What an agent is: features in, target position out."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Proposal(NamedTuple):
    """What an agent proposes, one row a tick; all arrays are (n,)."""

    target: Floats  # target position in [-1, 1], in units of capital
    action: Ints  # -1 sell, 0 hold, 1 buy: the sign of the wanted change of target
    confidence: Floats  # in [0, 1]


class Agent(ABC):
    """A policy that is stepped through ticks in order.

    An agent is scale-free: prices and volumes may be multiplied by any positive constant without changing what it
    proposes. It is causal: row t depends on rows up to and including t, and the cut of the rows into calls changes
    nothing, to the last bit.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    warmup: ClassVar[int] = 0
    """Good ticks seen before its proposals mean anything."""

    @abstractmethod
    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """Step through n ticks.

        x: (n, 50) raw features, columns in the order of `windvane.metamodel.features.extractor.NAMES`; price: (n,) last
        good price; good: (n,) 1 where the row carries new information, 0 where it repeats the last (then the last
        target is repeated with confidence 0 and no state moves).
        """

    @abstractmethod
    def state(self) -> dict[str, Floats]:
        """Copies of all that `propose` remembers, by name."""

    @abstractmethod
    def restore(self, state: dict[str, Floats]) -> None:
        """Go on from what `state` returned."""
