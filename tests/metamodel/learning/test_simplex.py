"""The capped simplex against exact enumeration and a general solver."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from windvane.agents.base import Floats, Ints
from windvane.metamodel.learning.simplex import FLOOR, Simplex, allocate, bounds, equal, project, project_box

laws = settings(deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)
scales = st.sampled_from([1e-12, 1e-3, 0.1, 1.0, 30.0, 1e6])
caps = st.one_of(st.just(1.0), st.floats(0.02, 1.0))


def projected(v: Floats, awake: Ints, cap: float, minimum: int) -> Floats:
    w = np.full(len(v), np.nan)
    project(v, Simplex(awake, cap, minimum, np.empty((3, len(v)))), w)
    return w


def box(v: Floats, awake: Ints, cap: float, minimum: int) -> tuple[Floats, Floats]:
    simplex = Simplex(awake, cap, minimum, np.empty((3, len(v))))
    bounds(v, simplex)
    return simplex.box[0], simplex.box[1]


def enumerated(v: Floats, lower: Floats, upper: Floats) -> Floats:
    """The nearest point to v with sum 1 in the box: every choice of what is at a bound is tried."""
    best, least = np.full(len(v), np.nan), np.inf
    for choice in product((0, 1, 2), repeat=len(v)):
        at = np.array(choice)
        w = np.where(at == 0, lower, upper)
        free = at == 2
        if free.any():
            w[free] = v[free] + (1.0 - w[~free].sum() - v[free].sum()) / free.sum()
        inside = (w >= lower - 1e-12).all() and (w <= upper + 1e-12).all() and abs(w.sum() - 1.0) < 1e-9
        if inside and ((w - v) ** 2).sum() < least:
            best, least = w, ((w - v) ** 2).sum()
    return best


def optimum(mu: Floats, S: Floats, gamma: float, lower: Floats, upper: Floats) -> float:
    """The largest mu'w - gamma/2 w'Sw that a general solver finds in the box, from several starts."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(4):
        start = enumerated(rng.random(len(mu)), lower, upper)
        found = minimize(
            lambda w: gamma / 2.0 * w @ S @ w - mu @ w,
            start,
            jac=lambda w: gamma * S @ w - mu,
            method="SLSQP",
            bounds=list(zip(lower, upper, strict=True)),
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0, "jac": lambda w: np.ones(len(w))},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        values.append(-found.fun)
    return max(values)


def problem(seed: int, n: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((n, n + 2))
    return 0.05 * rng.standard_normal(n), half @ half.T / (n + 2)


@given(
    seed=seeds,
    n=st.integers(1, 20),
    scale=scales,
    cap=caps,
    minimum=st.integers(0, 20),
    asleep=st.floats(0.0, 1.0),
    ties=st.booleans(),
)
@laws
def test_laws(seed: int, n: int, scale: float, cap: float, minimum: int, asleep: float, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    v = scale * rng.standard_normal(n)
    v = np.round(v / scale) * scale if ties else v
    awake = (rng.random(n) >= asleep).astype(np.int64)
    count = int(awake.sum())
    w = projected(v, awake, cap, minimum)
    assert (w[awake == 0] == 0.0).all()
    if count == 0:
        return
    assert abs(w.sum() - 1.0) <= 1e-12
    assert (w >= 0.0).all()
    assert (w <= max(cap, 1.0 / count)).all()
    assert (w >= min(FLOOR, 1.0 / count)).sum() >= min(minimum, count)
    lower, upper = box(v, awake, cap, minimum)
    assert ((w >= lower) & (w <= upper)).all()
    again = projected(w, awake, cap, minimum)
    np.testing.assert_allclose(again, w, rtol=0.0, atol=1e-12)


@given(
    seed=seeds,
    n=st.integers(1, 5),
    cap=caps,
    minimum=st.integers(0, 5),
    scale=st.sampled_from([0.01, 0.3, 3.0]),
)
@laws
def test_nearest_point_of_the_box(seed: int, n: int, cap: float, minimum: int, scale: float) -> None:
    v, awake = scale * np.random.default_rng(seed).standard_normal(n), np.ones(n, np.int64)
    lower, upper = box(v, awake, cap, minimum)
    w = projected(v, awake, cap, minimum)
    np.testing.assert_allclose(w, enumerated(v, lower, upper), rtol=0.0, atol=1e-9)


@given(seed=seeds, n=st.integers(2, 5), cap=caps, minimum=st.integers(1, 4))
@laws
def test_no_other_choice_of_floors_is_nearer(seed: int, n: int, cap: float, minimum: int) -> None:
    v, awake = 0.5 * np.random.default_rng(seed).standard_normal(n), np.ones(n, np.int64)
    chosen, upper = box(v, awake, cap, minimum)
    assert np.count_nonzero(chosen) == min(minimum, n)
    distance = ((projected(v, awake, cap, minimum) - v) ** 2).sum()
    for floored in combinations(range(n), min(minimum, n)):
        lower = np.zeros(n)
        lower[list(floored)] = FLOOR
        assert distance <= ((enumerated(v, lower, upper) - v) ** 2).sum() + 1e-12


@given(seed=seeds, n=st.integers(1, 60), scale=scales)
@laws
def test_variational_inequality(seed: int, n: int, scale: float) -> None:
    """w is the projection of v exactly when (v - w)'(y - w) <= 0 for every y allowed; a vertex is the worst y."""
    rng = np.random.default_rng(seed)
    v = scale * rng.standard_normal(n)
    lower, upper = 0.5 * rng.random(n) / n, (1.0 + 3.0 * rng.random(n)) / n
    w = np.empty(n)
    project_box(v, lower, upper, w)
    y, rest = lower.copy(), 1.0 - lower.sum()
    for i in np.argsort(w - v):
        y[i] += min(rest, upper[i] - lower[i])
        rest = max(0.0, rest - (upper[i] - lower[i]))
    assert abs(w.sum() - 1.0) <= 1e-12
    assert (v - w) @ (y - w) <= 1e-14 * n * max(1.0, scale) ** 2  # tau can be no finer than rounding of v


@pytest.mark.parametrize("n", [21, 25, 40, 64])
@pytest.mark.parametrize("cap", [0.1, 0.6])
def test_the_floor_holds_for_many_agents(n: int, cap: float) -> None:
    for v in (np.zeros(n), np.linspace(0.0, 1e-3, n), np.full(n, 1.0 / n)):
        w = projected(v, np.ones(n, np.int64), cap, 3)
        assert abs(w.sum() - 1.0) <= 1e-12
        assert (w >= FLOOR).sum() >= 3


def test_ties_go_to_the_first() -> None:
    lower, _ = box(np.zeros(5), np.array([0, 1, 1, 1, 1]), 0.6, 2)
    assert lower.tolist() == [0.0, FLOOR, FLOOR, 0.0, 0.0]


@given(
    seed=seeds,
    n=st.integers(2, 6),
    cap=caps,
    minimum=st.integers(0, 4),
    gamma=st.sampled_from([0.01, 0.05, 1.0]),
)
@settings(deadline=None, max_examples=20)
def test_allocate_converges_to_the_optimum(seed: int, n: int, cap: float, minimum: int, gamma: float) -> None:
    mu, S = problem(seed, n)
    awake = np.ones(n, np.int64)
    w, simplex = equal(awake), Simplex(awake, cap, minimum, np.empty((3, n)))
    lower, upper = box(mu, awake, cap, minimum)
    allocate(mu, S, gamma, 20_000, simplex, w)
    assert abs(w.sum() - 1.0) <= 1e-12
    assert ((w >= lower) & (w <= upper)).all()
    reached = mu @ w - gamma / 2.0 * w @ S @ w
    best = optimum(mu, S, gamma, lower, upper)
    assert reached == pytest.approx(best, abs=1e-7)


@given(seed=seeds, n=st.integers(1, 10), cap=caps, minimum=st.integers(0, 5), gamma=st.floats(0.001, 10.0))
@laws
def test_no_step_worsens_the_objective(seed: int, n: int, cap: float, minimum: int, gamma: float) -> None:
    mu, S = problem(seed, n)
    awake = np.ones(n, np.int64)
    w, simplex = np.empty(n), Simplex(awake, cap, minimum, np.empty((3, n)))
    lower, upper = box(mu, awake, cap, minimum)
    project_box(np.random.default_rng(seed).standard_normal(n), lower, upper, w)
    value = mu @ w - gamma / 2.0 * w @ S @ w
    for _ in range(50):
        allocate(mu, S, gamma, 1, simplex, w)
        new = mu @ w - gamma / 2.0 * w @ S @ w
        assert new >= value - 1e-12 * max(1.0, abs(value))
        value = new


def test_allocate_gives_sleepers_nothing() -> None:
    mu, S = problem(1, 5)
    w = np.full(5, 0.2)
    allocate(mu, S, 0.05, 1, Simplex(np.array([1, 0, 1, 0, 1]), 0.6, 3, np.empty((3, 5))), w)
    assert (w[[1, 3]] == 0.0).all()
    assert (w[[0, 2, 4]] >= FLOOR).all()
    assert w.sum() == pytest.approx(1.0, abs=1e-12)
    allocate(mu, S, 0.05, 1, Simplex(np.zeros(5, np.int64), 0.6, 3, np.empty((3, 5))), w)
    assert (w == 0.0).all()


@pytest.mark.parametrize("trace", [0.0, 1e-30])
def test_allocate_without_variance_takes_the_best(trace: float) -> None:
    mu, w = np.array([0.01, 0.03, 0.02, -0.01]), np.full(4, 0.25)
    allocate(mu, trace * np.eye(4), 0.05, 1, Simplex(np.ones(4, np.int64), 0.6, 3, np.empty((3, 4))), w)
    np.testing.assert_allclose(w, [0.05, 0.6, 0.35, 0.0], rtol=0.0, atol=1e-5)  # one huge step


def test_equal() -> None:
    assert equal(np.array([1, 0, 1, 1, 1])).tolist() == [0.25, 0.0, 0.25, 0.25, 0.25]
    assert equal(np.zeros(3, np.int64)).tolist() == [0.0, 0.0, 0.0]
