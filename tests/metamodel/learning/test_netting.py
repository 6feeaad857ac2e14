"""Laws of the one target: near what is wanted, moved no more than it must be, and exact where agents agree."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Floats
from windvane.metamodel.learning import netting

laws = settings(deadline=None, max_examples=50)
seeds = st.integers(0, 2**32 - 1)
bands = st.floats(0.0, 1.0)


def draws(seed: int, rows: int, agents: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(agents), rows), rng.uniform(-1.0, 1.0, (rows, agents))


@given(seed=seeds, agents=st.integers(1, 8), band=bands)
@laws
def test_it_stays_within_the_band_and_moves_only_to_its_edge(seed: int, agents: int, band: float) -> None:
    w, a = draws(seed, 200, agents)
    wanted = (w * a).sum(axis=1)
    width = band * np.sqrt((w * (a - wanted[:, None]) ** 2).sum(axis=1))
    got = netting.follow(w, a, band)
    off = np.abs(got - wanted)
    assert (off <= width + 1e-9).all()
    moved = np.diff(got, prepend=0.0) != 0.0
    np.testing.assert_allclose(off[moved], width[moved], atol=1e-7)


@given(seed=seeds, agents=st.integers(1, 8), band=bands)
@laws
def test_where_agents_agree_or_there_is_no_band_it_is_what_is_wanted(
    seed: int, agents: int, band: float
) -> None:
    w, a = draws(seed, 100, agents)
    agreed = np.tile(a[:, :1], agents)
    np.testing.assert_allclose(netting.follow(w, agreed, band), a[:, 0], atol=1e-7)
    np.testing.assert_allclose(netting.follow(w, a, 0.0), (w * a).sum(axis=1), atol=1e-12)


@given(seed=seeds, now=st.integers(1, 99), band=bands)
@laws
def test_the_future_changes_nothing(seed: int, now: int, band: float) -> None:
    w, a = draws(seed, 100, 5)
    whole = netting.follow(w, a, band)
    assert netting.follow(w[:now], a[:now], band).tobytes() == whole[:now].tobytes()


def test_noise_around_one_opinion_costs_next_to_nothing() -> None:
    rng = np.random.default_rng(4)
    w = np.full((2000, 2), 0.5)
    a = np.array([0.8, -0.4]) + 0.02 * rng.normal(size=(2000, 2))  # want .2, .6 apart from it
    traded = np.abs(np.diff(netting.follow(w, a, 0.15))).sum()
    assert traded < 0.02 * np.abs(np.diff((w * a).sum(axis=1))).sum()


def test_who_sleeps_and_what_is_cash_take_no_part() -> None:
    w, a = np.array([[0.5, 0.0, 0.5]]), np.array([[0.6, -1.0, 0.6]])
    assert netting.follow(w, a, 1.0)[0] == 0.6
    halved = netting.follow(0.5 * w, np.array([[0.6, -1.0, 0.2]]), 0.5)[0]
    assert abs(halved - (0.2 - 0.5 * 0.5 * 0.2)) < 1e-12
