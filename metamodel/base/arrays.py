"""States as arrays: what nested named tuples of arrays hold, under dotted names, to be stored and read again."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def arrays(part: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """Every array of nested named tuples by its dotted name after `prefix`; the arrays themselves, not copies.

    Of an array of records (`windvane.metamodel.base.records`) every field is an array of its own, a view.
    """
    flat: dict[str, np.ndarray] = {}
    for name, value in part._asdict().items():
        if not isinstance(value, np.ndarray):
            flat |= arrays(value, f"{prefix}{name}.")
        elif value.dtype.names is not None:
            flat |= {f"{prefix}{name}.{field}": value[field] for field in value.dtype.names}
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def write(into: Mapping[str, np.ndarray], state: Mapping[str, np.ndarray]) -> None:
    """Write a stored state into the arrays of the same names; raises ValueError where a shape differs."""
    for name, value in into.items():
        if state[name].shape != value.shape:
            raise ValueError(f"state {name} has shape {state[name].shape}, expected {value.shape}")
        value[...] = state[name]


def copied(part: Any) -> Any:
    """Nested named tuples of the same kinds, with copies of their arrays."""
    return type(part)(*(value.copy() if isinstance(value, np.ndarray) else copied(value) for value in part))
