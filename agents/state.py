"""Features as callers of the public API pass them: a list, an array, or a tensor, whose framework is not imported."""

from typing import Any

import numpy as np

from windvane.agents.base import Floats

FEATURES = 50


def row_of(state: Any) -> Floats:
    """Return the features of one row as a new array (50,) of float64.

    state: 50 numbers in a list, an array of any shape, or a torch tensor on any device. Raises ValueError where it
    holds more or fewer numbers.
    """
    if hasattr(state, "detach"):
        state = state.detach().cpu()
    x = np.asarray(state, np.float64).reshape(-1).copy()
    if x.shape != (FEATURES,):
        raise ValueError(f"the state has {len(x)} numbers: give the {FEATURES} features of one row")
    return x
