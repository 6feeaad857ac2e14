"""What a learner is told of each step of its environments, and what it is to whoever trains it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints

Singles = NDArray[np.float32]

ACTIVATIONS = ("relu", "tanh")
"""Of hidden layers: max(x, 0) and tanh(x)."""


class Transition(NamedTuple):
    """One step of N environments."""

    state: Singles  # (N, D) what was seen
    action: Ints  # (N,) what was done
    reward: Floats  # (N,)
    following: Singles  # (N, D) what was seen then, of the same episode
    terminated: NDArray[np.bool_]  # (N,) nothing more can be earned in the episode
    ended: NDArray[np.bool_]  # (N,) the episode is over: terminated, or cut off


class Layers(NamedTuple):
    """A network of plain layers: an activation stands between two of them, and the last gives A x M numbers."""

    weights: Sequence[Singles]  # (inputs, outputs) each
    biases: Sequence[Singles]  # (outputs,) each
    support: (
        Singles  # (M,) values of the atoms of each action's distribution, (0,) where an output is a number
    )
    activation: str = "relu"  # one of ACTIVATIONS


class Learner(Protocol):
    """DQN, PPO and Rainbow, as a training loop sees them."""

    actions: int
    environments: int  # that step at once

    def act(self, state: Singles) -> Ints:
        """Return an action (N,) for each state (N, D), with what is tried for the sake of learning."""

    def best(self, state: Singles) -> Ints:
        """Return the action (N,) believed best for each state (N, D)."""

    def learn(self, step: Transition) -> float | None:
        """Take in one step of N environments; returns the loss of an update, None where there was none."""

    def layers(self) -> Layers:
        """Return copies of the weights that decide `best`, as plain layers."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that learning goes on from, float32, float64 or int64 arrays by name."""

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` of an equal learner returned, to the same weights."""
