"""What is held and earned: results that are realised and open together are what the cash says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.cockpit.results import Holding

FILLS = st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 100)), max_size=40)


def add(holding: Holding, seq: int, qty: float, price: float) -> None:
    holding.add(np.array([seq]), np.array([float(qty)]), np.array([float(price)]))


@given(FILLS, st.integers(1, 100))
def test_realised_and_open_results_are_the_cash_and_what_is_held(
    fills: list[tuple[int, int]], last: int
) -> None:
    holding, realised, cash = Holding(), 0.0, 0.0
    for seq, (qty, price) in enumerate(fills):
        before, entry = holding.qty, holding.entry
        add(holding, seq, qty, price)
        closed = min(abs(before), abs(qty)) if before * qty < 0 else 0.0
        realised += np.sign(before) * closed * (price - entry)
        cash -= qty * price
        assert holding.qty == sum(q for q, _ in fills[: seq + 1])
        assert holding.qty != 0.0 or holding.entry == 0.0
    assert realised + holding.result(last) == pytest.approx(cash + holding.qty * last, abs=1e-6)


def test_what_was_held_before_the_history_is_said_to_be_of_unknown_price_until_it_is_closed() -> None:
    holding = Holding()
    holding.begin(10, 2.0, 50.0)
    assert (holding.known, holding.result(51.0)) == (False, 2.0)
    add(holding, 10, 7.0, 1.0)  # is in it already
    assert holding.qty == 2.0
    add(holding, 11, 1.0, 56.0)
    assert (holding.qty, holding.entry, holding.known) == (3.0, 52.0, False)
    add(holding, 12, -4.0, 60.0)
    assert (holding.qty, holding.entry, holding.known) == (-1.0, 60.0, True)
    holding.begin(20, 0.0, 50.0)
    assert holding.known
