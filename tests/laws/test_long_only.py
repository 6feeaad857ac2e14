"""With the gate long_only no account is ever short, whatever comes and whatever is filled."""

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from test_risk_laws import STEPS, adversary

from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.ensemble import Ensemble


def on_the_way(state: dict[str, np.ndarray], good: int) -> np.ndarray:
    """Positions (delay + 3, K) as the orders in flight are filled one after the other, before and after."""
    pending = np.roll(state["pending"], -good, axis=1).T
    due, later = pending[:1], pending[1:]
    return np.cumsum([state["account.lots"], *due, state["account.urgent"], *later], axis=0)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(some.integers(0, 2**31))
def test_no_position_is_ever_below_0(seed: int) -> None:
    book = adversary(seed)
    limits = msgspec.structs.replace(book.config.limits, long_only=True)
    e = Ensemble(msgspec.structs.replace(book.config, limits=limits))
    rows = {name: column for name, column in book.rows.items() if column is not None}
    for start in range(STEPS):
        e.step(Inputs.of(**{name: column[start : start + 1].copy() for name, column in rows.items()}))
        state = e.state()
        assert (on_the_way(state, int(state["clock.good_rows"][0])) >= 0).all(), (seed, start)
