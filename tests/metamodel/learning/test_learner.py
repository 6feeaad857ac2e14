"""The laws of the learner's weights."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_rows import KNOWN, STRANGERS, manager, part, rows

from windvane.agents.base import Floats
from windvane.metamodel.base.arrays import arrays, write
from windvane.metamodel.base.config import TradingConfig, WeighingConfig
from windvane.metamodel.features.extractor import MarketFeatureExtractor
from windvane.metamodel.features.scaler import FeatureScaler, scale_row
from windvane.metamodel.learning import learner
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.regimes.model import shipped
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.ensemble import Ensemble

laws = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 2**32 - 1)


def states(m: MetaLearningEnsembleManager) -> dict[str, np.ndarray]:
    """Copies of all that a book stores of a learner."""
    return {name: value.copy() for name, value in stored(m).items()}


def stored(m: MetaLearningEnsembleManager) -> dict[str, np.ndarray]:
    return arrays(m.learner.learned) | arrays(m.learner.memory)


def on_the_simplex(w: Floats, cap: float, minimum: int) -> bool:
    n = w.shape[1]
    return bool(
        (np.abs(w.sum(axis=1) - 1.0) <= 1e-12).all()
        and (w >= 0.0).all()
        and (w <= max(cap, 1.0 / n)).all()
        and ((w >= min(0.05, 1.0 / n)).sum(axis=1) >= min(minimum, n)).all()
    )


def test_a_good_agent_is_found() -> None:
    x, mid, target, cost, warm, posterior = rows(1, 6000, 5)
    target[:-1, 3] = 0.5 * np.sign(np.diff(np.log(mid)))  # knows the next row
    m = manager(5, delay=0)
    weights = m.step(x, mid, target, cost, warm, posterior)
    assert weights[3000:, 3].mean() > 0.5
    assert max(m.mean_scores, key=m.mean_scores.__getitem__) in ("agent_3", *MEMBERS[1:])
    assert m.member_weights["equal"] < 0.1  # the prior is 0.3


@given(
    seed=seeds,
    agents=st.integers(1, 12),
    cap=st.floats(0.02, 1.0),
    minimum=st.integers(0, 12),
    temperature=st.floats(0.01, 100.0),
    delay=st.integers(0, 4),
    cold=st.integers(0, 150),
    wild=st.booleans(),
)
@laws
def test_weights_lie_on_the_capped_simplex(
    seed: int, agents: int, cap: float, minimum: int, temperature: float, delay: int, cold: int, wild: bool
) -> None:
    config = WeighingConfig(
        max_agent_weight=cap, min_diversification_agents=minimum, weight_temperature=temperature
    )
    x, mid, target, cost, warm, posterior = rows(seed, 300, agents, cold)
    if wild:
        rng = np.random.default_rng(seed)
        mid = 10.0 ** rng.uniform(-8.0, 12.0, 300)
        target = rng.choice([-1.0, 0.0, 1.0], (300, agents))
        x = rng.choice([-20.0, 0.0, 20.0], (300, 50))
        cost = rng.choice([0.0, 1.0], 300)
    m = manager(agents if seed % 2 else (KNOWN + STRANGERS)[12 - agents :][:agents], config, delay)
    weights = m.step(x, mid, target, cost, warm, posterior)
    assert on_the_simplex(weights, cap, minimum)
    assert m.learner.learned.share.sum() == pytest.approx(1.0, abs=1e-12)
    assert all(np.isfinite(array).all() for array in states(m).values())
    members = m.learner.learned.w[1:2] if cold < 300 else m.learner.learned.w
    assert on_the_simplex(members, cap, minimum)


def test_before_it_is_warm_weights_are_equal() -> None:
    weights = manager(6).step(*rows(2, 200, 6, cold=200))
    np.testing.assert_allclose(weights, 1.0 / 6.0, rtol=0.0, atol=1e-15)


def test_without_a_classifier_regimes_are_as_often_as_in_its_training() -> None:
    x, mid, target, cost, warm, posterior = rows(3, 900, 6)
    told, untold, even = manager(KNOWN), manager(KNOWN), manager(KNOWN)
    prior_of_regimes = np.tile(shipped().prior, (900, 1))
    got = untold.step(x, mid, target, cost, warm)
    assert even.step(x, mid, target, cost, warm, prior_of_regimes).tobytes() == got.tobytes()
    assert told.step(x, mid, target, cost, warm, posterior).tobytes() != got.tobytes()


@given(seed=seeds, now=st.integers(1, 399))
@laws
def test_the_future_changes_no_weight(seed: int, now: int) -> None:
    before = rows(seed, 400, 4, cold=20)
    after = tuple(column.copy() for column in before)
    for column, other in zip(after, rows(seed + 1, 400, 4), strict=True):
        column[now:] = other[now:]
    after[4][:] = before[4]
    one, other = manager(KNOWN[:4]).step(*before), manager(KNOWN[:4]).step(*after)
    assert one[:now].tobytes() == other[:now].tobytes()
    assert now > 390 or one[now:].tobytes() != other[now:].tobytes()


@given(seed=seeds, cuts=st.lists(st.integers(0, 300), max_size=10))
@laws
def test_any_cut_gives_the_same_bytes(seed: int, cuts: list[int]) -> None:
    given_rows, whole, pieces = rows(seed, 300, 5, cold=40), manager(KNOWN[:5]), manager(KNOWN[:5])
    expected = whole.step(*given_rows)
    parts = [pieces.step(*part(given_rows, i, j)) for i, j in pairwise([0, *sorted(cuts), 300])]
    assert np.concatenate(parts).tobytes() == expected.tobytes()
    for name, array in states(whole).items():
        assert array.tobytes() == states(pieces)[name].tobytes(), name


@given(seed=seeds, cut=st.integers(0, 300), delay=st.integers(0, 3))
@laws
def test_state_and_restore(seed: int, cut: int, delay: int) -> None:
    given_rows, first, second = rows(seed, 300, 5, cold=40), manager(5, delay=delay), manager(5, delay=delay)
    first.step(*part(given_rows, 0, cut))
    state = states(first)
    saved = {name: array.tobytes() for name, array in state.items()}
    expected = first.step(*part(given_rows, cut, 300))
    assert {name: array.tobytes() for name, array in state.items()} == saved
    second.step(*part(rows(seed + 1, 50, 5), 0, 50))  # whatever it knew is forgotten
    write(stored(second), state)
    assert second.step(*part(given_rows, cut, 300)).tobytes() == expected.tobytes()


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        write(stored(manager(4)), states(manager(5)))


def test_a_prior_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="prior has 2"):
        manager(3, WeighingConfig(prior=(0.5, 0.5)))


def with_sleeper(asleep: range, sleeper: int, n: int = 240) -> tuple[list[dict[str, np.ndarray]], Floats]:
    """States and weights after every row, one agent asleep in some of them."""
    x, mid, target, cost, warm, posterior = rows(4, n, 4)
    m, history, weights = manager(4), [], np.empty((n, 4))
    for t in range(n):
        awake = np.ones(4, np.int64)
        if t in asleep:
            awake[sleeper] = 0
            target[t] = target[t - 1]
        learner.learn(m.learner, m.rules, mid[t], cost[t], warm[t] != 0, awake)
        learner.weigh(m.learner, m.rules, x[t], posterior[t], target[t], warm[t] != 0, awake)
        weights[t] = m.learner.learned.weights
        history.append(states(m))
    return history, weights


def test_sleepers_weigh_nothing_and_the_rest_stay_on_the_simplex() -> None:
    _, weights = with_sleeper(range(100, 160), 2)
    assert (weights[100:160, 2] == 0.0).all()
    assert (weights[160:, 2] > 0.0).any()
    assert on_the_simplex(weights[100:160, [0, 1, 3]], 0.6, 3)


@pytest.mark.parametrize(
    "name",
    [
        "fast",
        "slow",
        "prod.log_weight",
        "prod.squares",
        "contextual.B",
        "pretrained.rest.B",
        "regime.mass",
        "regime.first",
        "regime.second",
    ],
)
def test_what_is_known_of_a_sleeper_does_not_move(name: str) -> None:
    history, _ = with_sleeper(range(100, 160), 2)
    before, after = history[99][name], history[159][name]
    assert after[..., 2].tobytes() == before[..., 2].tobytes()
    assert after[..., 0].tobytes() != before[..., 0].tobytes()


def test_a_bad_first_row_opens_no_day_of_1970() -> None:
    ts = 1_500_000_000 * 10**9 + 10**9 * np.arange(20, dtype=np.int64)
    price, still = np.full(20, 9e3), np.zeros((20, 2))
    price[0] = np.nan
    f = MarketFeatureExtractor().step(ts, np.zeros(20, np.int64), price)
    ensemble = Ensemble(TradingConfig(agents=("one", "other")))
    done = ensemble.step(Inputs.of(np.arange(20), f.ts, f.flags, f.x, f.mid, still, still))
    assert done.statements == 0  # all rows are of one day


def test_scaler() -> None:
    x = 5.0 * np.random.default_rng(5).standard_normal((400, 50))
    x[:, 7] = 3.0
    fitted = FeatureScaler.fit(x)
    z = fitted.scale(x)
    np.testing.assert_allclose(z, np.clip((x - x.mean(axis=0)) / fitted.spread, -5.0, 5.0), rtol=1e-12)
    assert fitted.spread[7] == 1.0
    assert (z[:, 7] == 0.0).all()
    row = np.empty(50)
    scale_row(100.0 * x[3], fitted.centre, fitted.spread, row)
    np.testing.assert_array_equal(row, fitted.scale(100.0 * x[3:4])[0])
    assert np.abs(row).max() == 5.0
