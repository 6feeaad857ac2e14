"""The factors on the parts of a fit: least squares around 1, shared by all agents, never less sure than at first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Floats
from windvane.agents.factory import AGENTS
from windvane.metamodel.learning.members import pretrained, prior, strength
from windvane.metamodel.learning.members.strength import VARIANCE, Learned

AWAKE = np.ones(4, np.int64)
laws = settings(deadline=None, max_examples=25)


def draws(seed: int, updates: int, parts: int, true: Floats, noise: float) -> tuple[Floats, Floats]:
    """What parts said of four agents, and what came of it."""
    rng = np.random.default_rng(seed)
    said = rng.normal(size=(updates, 4, parts))
    return said, said @ true + noise * rng.normal(size=(updates, 4))


@given(seed=st.integers(0, 2**32 - 1), updates=st.integers(1, 40), parts=st.integers(1, 12))
@laws
def test_the_posterior_is_that_of_all_at_once(seed: int, updates: int, parts: int) -> None:
    said, came = draws(seed, updates, parts, np.linspace(-2.0, 2.0, parts), 1.0)
    m = Learned.new(parts)
    for u, y in zip(said, came, strict=True):
        strength.learn(m, np.empty((2, len(m.factor))), u, y, AWAKE, 1.0)
    U, Y = said.reshape(-1, parts), came.ravel()
    P = np.linalg.inv(np.eye(parts) / VARIANCE + U.T @ U)
    np.testing.assert_allclose(m.P, P, atol=1e-9)
    np.testing.assert_allclose(m.factor, 1.0 + P @ U.T @ (Y - U.sum(axis=1)), atol=1e-8)
    assert m.P.tobytes() == m.P.T.tobytes()


def test_a_mechanism_that_is_the_other_way_round_is_found_out() -> None:
    said, came = draws(7, 400, 3, np.array([-1.0, 0.0, 0.5]), 1.0)
    m = Learned.new(3)
    for u, y in zip(said, came, strict=True):
        strength.learn(m, np.empty((2, len(m.factor))), u, y, AWAKE, pretrained.FORGET)
    np.testing.assert_allclose(m.factor, [-1.0, 0.0, 0.5], atol=5.0 / np.sqrt(1600))


def test_what_is_not_seen_any_more_is_forgotten_no_further_than_to_the_start() -> None:
    said, came = draws(3, 2000, 3, np.array([2.0, 1.0, 0.0]), 0.1)
    said[200:, :, 1] = 0.0
    m, known = Learned.new(3), []
    for u, y in zip(said, came, strict=True):
        strength.learn(m, np.empty((2, len(m.factor))), u, y, AWAKE, 0.98)
        known.append(m.P[1, 1])
        assert np.linalg.eigvalsh(m.P).min() > 0.0
    assert known[199] < 0.1  # it was well known
    assert known[-1] == pytest.approx(VARIANCE)
    assert max(known) <= VARIANCE * (1.0 + 1e-12)


def test_agents_that_sleep_tell_nothing() -> None:
    said, came = draws(5, 50, 4, np.full(4, 0.3), 0.5)
    some = np.array([1, 0, 1, 0])
    m, alone = Learned.new(4), Learned.new(4)
    for u, y in zip(said, came, strict=True):
        strength.learn(m, np.empty((2, len(m.factor))), u, y, some, 0.99)
        strength.learn(
            alone, np.empty((2, len(m.factor))), u[::2].copy(), y[::2].copy(), np.ones(2, np.int64), 0.99
        )
    assert m.factor.tobytes() == alone.factor.tobytes()
    assert m.P.tobytes() == alone.P.tobytes()


@pytest.mark.parametrize("agents", [tuple(AGENTS), ("ema_momentum", "stranger")])
def test_parts_come_to_what_the_fit_says(agents: tuple[str, ...]) -> None:
    fit = prior.fitted(prior.shipped(), agents)
    parts = pretrained.parts(len(agents))
    assert len(parts) == len(fit.B)
    assert set(parts) == set(range(parts.max() + 1))
    x = np.random.default_rng(1).normal(size=len(parts))
    out = np.empty((len(agents), parts.max() + 1))
    strength.split(fit.B, parts, x, out)
    np.testing.assert_allclose(out.sum(axis=1), x @ fit.B, atol=1e-12)
    for part in range(parts.max() + 1):
        kept = parts == part
        np.testing.assert_allclose(out[:, part], x[kept] @ fit.B[kept], atol=1e-12)
