"""Counterfactual scores against the formula, from whole arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Floats
from windvane.metamodel.learning import scores

ROWS = 300


def prices(seed: int, n: int = ROWS) -> Floats:
    rng = np.random.default_rng(seed)
    vol = 2e-3 * np.exp(np.cumsum(rng.normal(0.0, 0.1, n)))
    return 9_000.0 * np.exp(np.cumsum(np.clip(vol * rng.standard_t(2, n), -2.0, 2.0)))


def volatility(r: Floats) -> Floats:
    """s known before every row: root of the EWMA (span 128) of r², each at most 36 of the variance before it."""
    s, variance = [1e-6, 1e-6], 0.0
    for k, move in enumerate(r[1:], start=1):
        square = move**2 if k == 1 else min(move**2, 36.0 * s[-1] ** 2)
        variance += max(2.0 / 129.0, 1.0 / k) * (square - variance)
        s.append(max(variance, 1e-12) ** 0.5)
    return np.array(s[: len(r)])


def expected(mid: Floats, a: Floats, cost: Floats, delay: int) -> Floats:
    r = np.concatenate([[0.0], np.diff(np.log(mid))])
    padded = np.vstack([np.zeros((2 + delay, a.shape[1])), a])  # nothing was held before the first row
    held, before = padded[1 : 1 + len(a)], padded[: len(a)]
    past_cost = np.concatenate([[0.0], cost[:-1]])
    net = held * r[:, None] - np.abs(held - before) * past_cost[:, None]
    return np.clip(net / volatility(r)[:, None], -4.0, 4.0)


def stepped(mid: Floats, a: Floats, cost: Floats, delay: int, ring: int) -> Floats:
    market, past, out = scores.new_moments(), np.zeros((ring, a.shape[1])), np.zeros_like(a)
    for t in range(len(mid)):
        r, s, past_cost = scores.observe(market, mid[t], cost[t], t >= 100)
        scores.score(past, t, delay, r, s, past_cost, out[t])
        past[t % ring] = a[t]
    assert market.seen.tolist() == [len(mid), max(0, len(mid) - 100)]
    return out


@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("spare", [0, 5])
def test_against_the_formula(delay: int, spare: int) -> None:
    rng = np.random.default_rng(delay)
    a, cost = np.clip(rng.standard_normal((ROWS, 4)), -1.0, 1.0), 1e-4 * rng.exponential(1.0, ROWS)
    a[:, 3] = np.repeat(a[::50, 3], 50)
    got = stepped(prices(1), a, cost, delay, delay + 3 + spare)
    np.testing.assert_allclose(got, expected(prices(1), a, cost, delay), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_decision_earns_first_when_it_could_have_been_filled(delay: int) -> None:
    mid = prices(2)
    a = np.zeros((ROWS, 1))
    a[150:] = 1.0
    got = stepped(mid, a, np.full(ROWS, 1e-3), delay, delay + 3)[:, 0]
    first = 151 + delay
    assert (got[:first] == 0.0).all()
    r = np.diff(np.log(mid), prepend=np.log(mid[0]))
    s = volatility(r)
    assert got[first] == pytest.approx(np.clip((r[first] - 1e-3) / s[first], -4.0, 4.0), rel=1e-9)
    np.testing.assert_allclose(
        got[first + 1 :], np.clip(r / s, -4.0, 4.0)[first + 1 :], rtol=1e-9, atol=1e-12
    )


@given(
    mid=st.lists(st.floats(1e-8, 1e12), min_size=2, max_size=30),
    cost=st.floats(0.0, 10.0),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=50)
def test_finite_and_clipped(mid: list[float], cost: float, seed: int) -> None:
    a = np.random.default_rng(seed).uniform(-1.0, 1.0, (len(mid), 2))
    got = stepped(np.array(mid), a, np.full(len(mid), cost), 1, 4)
    assert np.isfinite(got).all()
    assert (np.abs(got) <= scores.CLIP).all()


def test_flat_agents_score_nothing() -> None:
    assert (stepped(prices(3), np.zeros((ROWS, 2)), np.full(ROWS, 1e-3), 1, 4) == 0.0).all()


def test_a_still_market_costs_no_more_than_the_clip() -> None:
    a = np.tile([[1.0], [-1.0]], (ROWS // 2, 1))
    got = stepped(np.full(ROWS, 9_000.0), a, np.full(ROWS, 1e-4), 0, 3)
    assert (got[2:] == -4.0).all()
