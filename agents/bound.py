"""Kernels that are called with the same large state again and again, a few rows at a time.

numba looks at the type of every array of every argument in each call. For the hundred arrays of a book that takes
longer than to work off a row.
"""

from collections.abc import Callable, Sequence
from operator import is_not
from typing import Any

import numba
import numpy as np

_CODES: dict[tuple[Any, ...], Callable[..., Any]] = {}  # by kernel and kinds of its arguments


class Bound:
    """A kernel that takes a state, the columns of rows, and what the caller makes for each call, in this order.

    What a state is made of is looked up when it is another state than in the call before; what rows are made of is
    compared in each call, since they come from elsewhere; what the caller makes must always be of the same types.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = self._code = function
        self._state: tuple[Any, ...] = ()
        self._kinds: list[tuple[Any, ...]] = []

    def __call__(self, state: tuple[Any, ...], rows: Sequence[np.ndarray], *made: Any) -> Any:
        """What the kernel returns. state: arrays, numbers and tuples of those; rows: a NamedTuple of arrays."""
        kinds = [(column.dtype, column.ndim, column.flags.carray) for column in rows]
        if kinds != self._kinds or len(state) != len(self._state) or any(map(is_not, state, self._state)):
            self._code = _code(self._function, (*state, rows, *made))
            self._state, self._kinds = state, kinds
        return self._code(*state, rows, *made)


def _code(function: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """The machine code of a kernel for such arguments; the kernel itself where that is not to be had."""
    if not hasattr(function, "compile") or not _plain(arguments):
        return function
    kind = (function, _kind(arguments))
    if kind not in _CODES:
        _CODES[kind] = function.compile(tuple(map(numba.typeof, arguments)))
    return _CODES[kind]


def _plain(value: Any) -> bool:
    """Whether all arrays in a value are C-contiguous and writeable: of others more than that decides their type."""
    if isinstance(value, np.ndarray):
        return bool(value.flags.carray)
    return not isinstance(value, tuple) or all(map(_plain, value))


def _kind(value: Any) -> Any:
    """What of a plain value decides its type."""
    if isinstance(value, np.ndarray):
        return type(value), value.dtype, value.ndim
    return (type(value), *map(_kind, value)) if isinstance(value, tuple) else type(value)
