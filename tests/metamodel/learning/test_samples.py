"""Samples for training: against whole arrays, and nothing of the future in them."""

from itertools import pairwise

import numpy as np
import pytest

from simulated_book import ticks
from windvane.metamodel.base.config import Costs, WeighingConfig
from windvane.metamodel.base.rows import BAD, REPEATED, WARMUP
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning.counterfactual import Counterfactual, Rows

ROWS, AGENTS, COLD = 1_500, 2, 70


def columns() -> dict[str, np.ndarray]:
    market, rng = ticks(ROWS), np.random.default_rng(3)
    flags = np.where(np.arange(ROWS) < COLD, WARMUP, 0)
    flags[[300, 301, 700]] = BAD
    assert market.bid is not None
    assert market.ask is not None
    return {
        "flags": flags,
        "x": rng.standard_normal((ROWS, 50)),
        "regime": rng.dirichlet(np.ones(7), ROWS),
        "mid": 0.5 * (market.bid + market.ask),
        "bid": market.bid,
        "ask": market.ask,
        "target": rng.uniform(-1.0, 1.0, (ROWS, AGENTS)),
    }


def counterfactual(lookback: int = 1000, features: int = 50, history: int = 20) -> Counterfactual:
    weighing = WeighingConfig(
        retraining=True, meta_lookback=lookback, features=features, agent_history_features=history
    )
    return Counterfactual(AGENTS, Costs(delay=1), 1e6, 1e-8, weighing)


def fed(m: Counterfactual, given: dict[str, np.ndarray], cuts: list[int]) -> None:
    for start, stop in pairwise(cuts):
        m.step(Rows(**given), start, stop)


def scores_of(given: dict[str, np.ndarray]) -> np.ndarray:
    """Normalised scores of every row by harvesting after each."""
    m, out = Counterfactual(AGENTS, Costs(delay=1), 1e6, 1e-8), np.zeros((ROWS, AGENTS))
    for t in range(ROWS):
        fed(m, given, [t, t + 1])
        out[t] = m.harvest()[1]
    return out


def read(z: np.ndarray, taking: np.ndarray, features: int) -> np.ndarray:
    """The features that are read of scaled ones z (n, 50), in rows where slow averages are taken or not."""
    calm, out = np.zeros(25), np.zeros((len(z), features))
    for k, row in enumerate(z):
        if taking[k]:
            calm = calm + 2 / 129 * (row[:25] - calm)
        out[k] = np.concatenate([row, calm])[:features]
    return out


@pytest.mark.parametrize(("features", "history"), [(50, 20), (21, 5), (60, 200)])
def test_against_whole_arrays(features: int, history: int) -> None:
    given = columns()
    m = counterfactual(1000, features, history)
    fed(m, given, [0, ROWS])
    common, own, y = m.samples()
    gn = scores_of(given)
    good = np.flatnonzero(given["flags"] & REPEATED == 0)
    warm = given["flags"][good] & WARMUP == 0
    taken = [k for k in range(len(good)) if (k + 1) % 32 == 0 and warm[k]]
    assert len(y) == len(taken) - 1
    fast = slow = np.zeros(AGENTS)
    at = {}
    for k, row in enumerate(good):
        if warm[k]:
            fast = fast + (1 - 0.5 ** (20 / history / 96)) * (gn[row] - fast)
            slow = slow + (1 - 0.5 ** (20 / history / 768)) * (gn[row] - slow)
        at[k] = (fast, slow)
    z = FeatureScaler().scale(given["x"])
    chosen = read(z[good], warm & (np.arange(1, len(good) + 1) % 4 == 0), features)
    for j, k in enumerate(taken[:-1]):
        row, a = good[k], given["target"][good[k]]
        np.testing.assert_allclose(y[j], gn[good[k + 1 : k + 33]].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(common[j], [*(0.5 * chosen[k]), *given["regime"][row]], atol=1e-6)
        drift = 0.5 * a * z[row, NAMES.index("trend_128")]
        wanted = np.column_stack([10 * at[k][0], 25 * at[k][1], a, abs(a), drift])
        np.testing.assert_allclose(own[j], wanted, atol=1e-5)


@pytest.mark.parametrize("stop", [500, 863, 864, 865, 1_200])
def test_nothing_of_the_future_is_in_a_sample(stop: int) -> None:
    given, other = columns(), columns()
    for name in ("x", "regime", "target"):
        other[name][stop:] *= -0.5
    other["mid"][stop:] *= 1.1
    both = []
    for rows in (given, other):
        m = counterfactual()
        fed(m, rows, [0, stop])
        both.append(m.samples())
    for one, two in zip(*both, strict=True):
        assert one.tobytes() == two.tobytes()
        assert len(one) > 5


@pytest.mark.parametrize(("step", "features"), [(1, 50), (33, 75), (500, 50)])
def test_batches_and_stops_do_not_matter(step: int, features: int) -> None:
    given = columns()
    whole, cut = counterfactual(16, features), counterfactual(16, features)
    fed(whole, given, [0, ROWS])
    for start in range(0, ROWS, step):
        fed(cut, given, [start, min(ROWS, start + step)])
        again = counterfactual(16, features)
        again.restore(cut.state())
        cut = again
    for one, two in zip(whole.samples(), cut.samples(), strict=True):
        assert len(one) == 16
        assert one.tobytes() == two.tobytes()
