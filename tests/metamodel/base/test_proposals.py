"""Proposals of all agents at once, and the prices that agents see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.factory import create_agents
from windvane.metamodel.base import rows
from windvane.metamodel.base.proposals import Joined, propose


@settings(deadline=None)
@given(st.lists(st.floats(0.9, 1.1), min_size=6, max_size=6), st.floats(1e-4, 1e4), st.integers(1, 5))
def test_joined_prices_have_no_return_where_the_level_changes(
    steps: list[float], jump: float, at: int
) -> None:
    mid = 100.0 * np.cumprod(steps)
    mid[at:] *= jump
    flags = np.zeros(6, np.int64)
    flags[at] = rows.STRAY
    joined = Joined().step(flags, mid)
    wanted = np.log(steps[1:])
    wanted[at - 1] = 0.0
    assert np.diff(np.log(joined)) == pytest.approx(wanted, abs=1e-9)
    parts = Joined()
    cut = np.concatenate([parts.step(flags[:at], mid[:at]), parts.step(flags[at:], mid[at:])])
    assert cut.tobytes() == joined.tobytes()


def test_joined_prices_are_the_prices_where_the_level_stays() -> None:
    mid = np.array([100.0, 150.0, 90.0])
    assert Joined().step(np.zeros(3, np.int64), mid) is mid


def test_agents_see_cold_rows_and_want_nothing_on_them() -> None:
    n, names = 900, ("buy_and_hold", "donchian_breakout")
    price = 100.0 * np.exp(0.01 * np.random.default_rng(1).normal(size=n).cumsum())
    flags, x = np.where(np.arange(n) < 512, rows.WARMUP, 0), np.zeros((n, 50))
    asked = propose(create_agents(names), Joined(), flags, x, price)
    for i, agent in enumerate(create_agents(names)):
        alone = agent.propose(x, price, np.ones(n, np.int64))
        for ours, own in zip((asked.target, asked.action, asked.confidence), alone, strict=True):
            assert not ours[:512, i].any()
            assert (ours[512:, i] == own[512:]).all()
