"""What crosses the border to people: states as they hand them over, and actions as they read them."""

from typing import Any

import numpy as np

from windvane.agents.base import Floats

FEATURES = 50

ACTIONS: tuple[str, ...] = ("sell", "hold", "buy")
"""Names of actions, by the numbers that people read."""


def row_of(state: Any) -> Floats:
    """Return the features of one row as a new array (50,) of float64.

    state: 50 numbers in a list, an array of any shape, or a torch tensor on any device. Raises ValueError where it
    holds more or fewer numbers.
    """
    return numbers_of(state, FEATURES)


def numbers_of(state: Any, wanted: int | None = None) -> Floats:
    """Return the numbers of a state as a new array of float64.

    Raises ValueError where it does not have as many as `wanted`, None: any number of them.
    """
    if hasattr(state, "detach"):
        state = state.detach().cpu()
    x = np.asarray(state, np.float64).reshape(-1).copy()
    if wanted is not None and len(x) != wanted:
        raise ValueError(f"the state has {len(x)} numbers: give the {wanted} features of one row")
    return x


def action_code(action: int) -> int:
    """The number that people read, 0 sell, 1 hold or 2 buy, of an action that is -1, 0 or 1 inside."""
    return action + 1
