"""Records: arrays whose entries have named fields, so that kernels read and write `clock.good_rows`, not `clock[4]`.

The fields of a kind of record are the annotations of a class, `int` or `float`. Such a class is never instantiated: it
names the fields for people, for the type checker and for `new`.
"""

from functools import cache
from typing import Any, get_type_hints

import numpy as np

Records = np.ndarray[Any, np.dtype[np.void]]
"""An array of records of one kind."""

_STORED = {int: np.int64, float: np.float64}


def names(kind: type) -> tuple[str, ...]:
    """Names of the fields of a kind of record, in order."""
    return tuple(get_type_hints(kind))


@cache
def dtype(kind: type) -> np.dtype[np.void]:
    """The numpy dtype of a kind of record: int64 or float64 for every field."""
    return np.dtype([(name, _STORED[field]) for name, field in get_type_hints(kind).items()])


def new(kind: type, *shape: int) -> Records:
    """An array of this shape of records of this kind, all fields 0."""
    return np.zeros(shape, dtype(kind))
