"""The members and their mixture against plain versions, and against the regret that their papers promise."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from windvane.agents.base import Floats
from windvane.metamodel.learning import fixed_share
from windvane.metamodel.learning.members import contextual, prod

Adversary = Callable[[int, Floats, np.random.Generator], Floats]
AGENTS = 5


def noise(t: int, w: Floats, rng: np.random.Generator) -> Floats:
    return np.clip(rng.standard_t(3, len(w)), -4.0, 4.0)


def against_the_leader(t: int, w: Floats, rng: np.random.Generator) -> Floats:
    gain = np.full(len(w), 4.0)
    gain[np.argmax(w)] = -4.0
    return gain


def alternating(t: int, w: Floats, rng: np.random.Generator) -> Floats:
    return 4.0 * np.where((np.arange(len(w)) + t) % 2 == 0, 1.0, -1.0)


def one_good(t: int, w: Floats, rng: np.random.Generator) -> Floats:
    gain = rng.choice([-4.0, 4.0], len(w))
    gain[-1] = 0.4
    return gain


def turning(t: int, w: Floats, rng: np.random.Generator) -> Floats:
    """The best so far fails, and another takes over, every 1000 rows."""
    gain = np.full(len(w), -2.0)
    gain[t // 1000 % len(w)] = 4.0
    return gain


ADVERSARIES = (noise, against_the_leader, alternating, one_good, turning)


@pytest.fixture(params=ADVERSARIES, ids=lambda adversary: adversary.__name__)
def adversary(request: pytest.FixtureRequest) -> Adversary:
    return request.param


def weigh(m: prod.Learned) -> Floats:
    v = np.empty(len(m.eta))
    prod.weigh(m, np.ones(len(m.eta), np.int64), v)
    return v


def test_prod_against_the_paper(adversary: Adversary) -> None:
    """Algorithm 3 of Gaillard, Stoltz and van Erven 2014, weights multiplied as they stand there."""
    m, rng, awake = prod.Learned.new(AGENTS), np.random.default_rng(1), np.ones(AGENTS, np.int64)
    w, eta = np.full(AGENTS, 1.0 / AGENTS), np.full(AGENTS, min(0.5, math.sqrt(math.log(AGENTS))))
    regrets: list[Floats] = []
    for t in range(600):
        p = eta * w / (eta @ w)
        np.testing.assert_allclose(weigh(m), p, rtol=1e-9, atol=1e-15)
        gn = adversary(t, p, rng)
        prod.learn(m, gn, awake, p)
        regrets.append((gn - p @ gn) / 8.0)
        new = np.minimum(0.5, np.sqrt(math.log(AGENTS) / (1.0 + np.square(regrets).sum(axis=0))))
        w = (w * (1.0 + eta * regrets[-1])) ** (new / eta)
        eta = new


@pytest.mark.parametrize("agents", [2, 5, 20])
def test_prod_keeps_its_regret_bound(adversary: Adversary, agents: int) -> None:
    """Corollary 4: regret <= C / sqrt(ln K) sqrt(1 + sum r²) + 2 C, for every agent, with losses in [0, 1]."""
    m, rng, awake, rows = prod.Learned.new(agents), np.random.default_rng(2), np.ones(agents, np.int64), 5000
    total, squares = np.zeros(agents), np.zeros(agents)
    for t in range(rows):
        p = weigh(m)
        gn = adversary(t, p, rng)
        prod.learn(m, gn, awake, p)
        regret = (gn - p @ gn) / 8.0
        total, squares = total + regret, squares + regret**2
    log_k = math.log(agents)
    c = 3.0 * log_k + math.log(1.0 + agents / (2.0 * math.e) * (1.0 + math.log(rows + 1.0)))
    assert (total <= c / math.sqrt(log_k) * np.sqrt(1.0 + squares) + 2.0 * c).all()
    assert weigh(m).sum() == pytest.approx(1.0, abs=1e-12)


def test_prod_finds_the_best_agent() -> None:
    m, rng = prod.Learned.new(AGENTS), np.random.default_rng(3)
    for _ in range(4000):
        gn = rng.standard_normal(AGENTS)
        gn[2] += 0.5
        prod.learn(m, np.clip(gn, -4.0, 4.0), np.ones(AGENTS, np.int64), weigh(m))
    assert weigh(m)[2] > 0.9


def test_prod_lets_sleepers_be() -> None:
    m, awake = prod.Learned.new(4), np.array([1, 0, 1, 1])
    for _ in range(50):
        prod.learn(m, np.array([1.0, 3.0, -1.0, 0.5]), awake, np.full(4, 0.25))
    fresh = prod.Learned.new(4)
    for column, untouched in zip(m, fresh, strict=True):
        assert column[1] == untouched[1]
    assert (m.squares[awake == 1] > 0.0).all()
    assert (m.log_weight[awake == 1] != fresh.log_weight[awake == 1]).all()
    v = np.empty(4)
    prod.weigh(m, awake, v)
    assert v[1] == 0.0
    assert v.sum() == pytest.approx(1.0, abs=1e-12)
    prod.weigh(m, np.zeros(4, np.int64), v)
    assert (v == 0.0).all()


def test_prod_lives_long() -> None:
    m, awake = prod.Learned.new(3), np.ones(3, np.int64)
    for _ in range(50_000):
        prod.learn(m, np.array([4.0, 0.0, -4.0]), awake, weigh(m))
    assert all(np.isfinite(column).all() for column in m)
    assert weigh(m)[0] > 0.99


def ridge(xs: Floats, ys: Floats, half_life: float, precision: float) -> tuple[Floats, Floats]:
    """Inverse of the weighted normal matrix and the coefficients, both solved for at once."""
    rows, d = xs.shape
    forget = 0.5 ** (contextual.EVERY / half_life)
    weight = forget ** np.arange(rows - 1, -1, -1.0)
    normal = (xs * weight[:, None]).T @ xs + precision * forget**rows * np.eye(d)
    return np.linalg.inv(normal), np.linalg.solve(normal, (xs * weight[:, None]).T @ ys)


@pytest.mark.parametrize(("rows", "d"), [(1, 4), (40, 12), (3000, 30)])
def test_contextual_against_weighted_ridge(rows: int, d: int) -> None:
    rng = np.random.default_rng(rows)
    xs = np.column_stack(
        [np.ones(rows), 2.0 * rng.standard_normal((rows, d - 1)).cumsum(axis=0) / np.sqrt(rows)]
    )
    ys = np.clip(xs @ rng.standard_normal((d, 3)) * 0.1 + rng.standard_normal((rows, 3)), -4.0, 4.0)
    m, gain, awake = contextual.Learned.new(d, 3), np.empty(d), np.ones(3, np.int64)
    for x, y in zip(xs, ys, strict=True):
        contextual.learn(m, gain, x, y, awake, contextual.FORGET)
        assert m.P.tobytes() == m.P.T.tobytes()
    P, B = ridge(xs, ys, 3e5, 1500.0)
    np.testing.assert_allclose(m.P, P, rtol=0.0, atol=1e-9 * np.abs(P).max())
    np.testing.assert_allclose(m.B, B, rtol=1e-6, atol=1e-9)
    contextual.predict(m, xs[0])
    np.testing.assert_allclose(m.mu, xs[0] @ B, rtol=1e-6, atol=1e-9)


def test_contextual_stays_positive_definite_and_symmetric() -> None:
    """Regressors that are nearly the same, and long stretches without news, for 20,000 updates."""
    rng, d = np.random.default_rng(4), 8
    m, gain, awake = contextual.Learned.new(d, 2), np.empty(d), np.ones(2, np.int64)
    common = rng.standard_normal(d)
    for t in range(20_000):
        x = common + 1e-6 * rng.standard_normal(d) if t % 5000 < 4000 else np.zeros(d)
        contextual.learn(m, gain, x, np.array([0.1, -0.1]), awake, contextual.FORGET)
    assert m.P.tobytes() == m.P.T.tobytes()
    assert np.linalg.eigvalsh(m.P).min() > 0.0
    assert np.isfinite(m.B).all()


def test_contextual_lets_sleepers_be() -> None:
    rng, m, all_awake = (
        np.random.default_rng(5),
        contextual.Learned.new(6, 3),
        contextual.Learned.new(6, 3),
    )
    gain = np.empty(6)
    for _ in range(30):
        x, y = rng.standard_normal(6), rng.standard_normal(3)
        contextual.learn(m, gain, x, y, np.array([1, 0, 1]), contextual.FORGET)
        contextual.learn(all_awake, gain, x, y, np.ones(3, np.int64), contextual.FORGET)
    assert (m.B[:, 1] == 0.0).all()
    assert m.B[:, [0, 2]].tobytes() == all_awake.B[:, [0, 2]].tobytes()


def test_regressors() -> None:
    rng, f, n = np.random.default_rng(6), 50, 6
    z, fast, slow, a = (rng.standard_normal(k) for k in (f, n, n, n))
    x = np.full(contextual.regressors(f, n), np.nan)
    contextual.regress(z, 1.7, fast, slow, a, x)
    expected = np.concatenate([[1.0], z / 2, 10 * fast, 25 * slow, a * 1.7 / 2, np.abs(a)])
    np.testing.assert_allclose(x, expected, rtol=1e-15)


def test_slots_hold_a_whole_horizon() -> None:
    """What is written now may not lie where the prediction of 32 rows ago is still to be read."""
    for good in range(0, 4000, contextual.EVERY):
        held = {contextual.slot(good - back) for back in range(0, contextual.HORIZON + 1, contextual.EVERY)}
        assert len(held) == contextual.HORIZON // contextual.EVERY + 1
        assert held <= set(range(len(contextual.Memory.new(2).past)))


PRIOR = np.array([0.15, 0.05, 0.8])


def test_fixed_share_against_the_paper(adversary: Adversary) -> None:
    """Herbster and Warmuth 1998: exponential weights, normalised, then every member gives alpha to the prior."""
    rng, weight, square = np.random.default_rng(7), PRIOR.copy(), np.ones(3)
    expected, mean = PRIOR.copy(), np.ones(3)
    for t in range(500):
        score = 0.3 * adversary(t, weight, rng)
        fixed_share.learn(score, square, PRIOR, 0.02, 1e-4, weight)
        mean = 0.5 ** (1 / 4000) * mean + (1 - 0.5 ** (1 / 4000)) * score**2
        gain = np.clip(score / np.maximum(0.15, np.sqrt(mean)), -4.0, 4.0)
        expected = expected * np.exp(0.02 * gain)
        expected = (1.0 - 1e-4) * expected / expected.sum() + 1e-4 * PRIOR
        np.testing.assert_allclose(weight, expected, rtol=1e-10)
        np.testing.assert_allclose(square, mean, rtol=1e-10)


@pytest.mark.parametrize(("eta", "alpha"), [(0.02, 1e-4), (0.1, 1e-3)])
def test_fixed_share_keeps_its_tracking_bound(adversary: Adversary, eta: float, alpha: float) -> None:
    """Against the best member of every block of 1000 rows, changed at most once a block."""
    rng, weight, square, rows = np.random.default_rng(8), PRIOR.copy(), np.ones(3), 10_000
    gains, got = np.zeros((rows, 3)), 0.0
    for t in range(rows):
        before = weight.copy()
        score = adversary(t, before, rng)
        fixed_share.learn(score, square, PRIOR, eta, alpha, weight)
        gains[t] = np.clip(score / np.maximum(0.15, np.sqrt(square)), -4.0, 4.0)
        got += before @ gains[t]
        assert weight.sum() == pytest.approx(1.0, abs=1e-12)
        assert (weight >= alpha * PRIOR * (1.0 - 1e-12)).all()
    blocks = gains.reshape(-1, 1000, 3).sum(axis=1)
    best = blocks.argmax(axis=1)
    m = np.count_nonzero(np.diff(best))
    kept = rows * math.log(1.0 / (1.0 - alpha))
    bound = (
        math.log(1.0 / PRIOR.min()) * (m + 1) + m * math.log(1.0 / alpha) + kept
    ) / eta + 8.0 * eta * rows
    assert blocks.max(axis=1).sum() - got <= bound
