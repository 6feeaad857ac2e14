"""A state as people hand it over: a list, an array, or a tensor of a framework that is not imported here."""

from typing import Any

import numpy as np

from windvane.agents.base import Floats

FEATURES = 50


def row_of(state: Any) -> Floats:
    """The features of one row (50,), as an array of its own; raises ValueError where there are more or fewer."""
    if hasattr(state, "detach"):
        state = state.detach().cpu()
    x = np.asarray(state, np.float64).reshape(-1).copy()
    if x.shape != (FEATURES,):
        raise ValueError(f"the state has {len(x)} numbers: give the {FEATURES} features of one row")
    return x
