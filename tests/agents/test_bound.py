"""Bound: a kernel with a large state returns what it returns without it, whatever its arguments are made of."""

from typing import NamedTuple

import numpy as np
import pytest

from windvane.agents.base import Floats
from windvane.agents.bound import Bound
from windvane.agents.kernel import kernel


class State(NamedTuple):
    sums: Floats
    count: Floats


class Rows(NamedTuple):
    a: np.ndarray
    b: np.ndarray


@kernel
def step(state: State, rows: Rows, factor: float) -> float:
    for t in range(rows.a.shape[0]):
        state.sums[t] += rows.a[t] * factor + rows.b[t]
    state.count[0] += 1
    return float(state.sums.sum())


def new_state(dtype: type = np.float64) -> State:
    return State(np.zeros(4, dtype), np.zeros(1, dtype))


WHOLE = np.arange(4)
REAL = np.arange(4) + 0.5
FROZEN = REAL.copy()
FROZEN.flags.writeable = False
COLUMNS = {
    "real": REAL,
    "whole": WHOLE,
    "narrow": WHOLE.astype(np.int32),
    "strided": np.arange(8.0)[::2],
    "backward": REAL[::-1],
    "read only": FROZEN,
}


class TestBound:
    @pytest.mark.parametrize("second", COLUMNS)
    @pytest.mark.parametrize("first", COLUMNS)
    def test_rows_of_another_kind_than_before_are_read_as_what_they_are(
        self, first: str, second: str
    ) -> None:
        bound, state, plain = Bound(step), new_state(), new_state()
        for name in (first, second, first):
            rows = Rows(COLUMNS[name], REAL)
            assert bound((state,), rows, 2.0) == step(plain, rows, 2.0)
        assert state.sums.tolist() == plain.sums.tolist()

    @pytest.mark.parametrize("dtype", [np.float64, np.int64])
    def test_a_state_that_is_replaced_is_looked_at_anew(self, dtype: type) -> None:
        bound, rows = Bound(step), Rows(WHOLE, WHOLE)
        bound((new_state(),), rows, 1.0)
        state, plain = new_state(dtype), new_state(dtype)
        assert bound((state,), rows, 1.0) == step(plain, rows, 1.0) == 12.0
        assert state.sums.tolist() == plain.sums.tolist() == [0, 2, 4, 6]

    def test_several_bound_to_one_kernel_keep_their_states_apart(self) -> None:
        one, other, rows = new_state(), new_state(), Rows(REAL, REAL)
        first, second = Bound(step), Bound(step)
        first((one,), rows, 1.0)
        second((other,), rows, 1.0)
        first((one,), rows, 1.0)
        assert (one.count[0], other.count[0]) == (2, 1)
        assert (one.sums == 2 * other.sums).all()
