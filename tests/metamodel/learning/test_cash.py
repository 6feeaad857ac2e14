"""Cash beside the mixture: it wins where all lose, costs little where one earns, and is nothing where it is off."""

from itertools import pairwise

import numpy as np
import pytest
from learner_rows import Rows, manager, part, rows

from windvane.agents.confidence import agreements
from windvane.metamodel.base.config import TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.learning import fixed_share, learned, netting
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.ensemble import Ensemble

ON = WeighingConfig(cash_expert=True)


def losing(n: int = 6000) -> Rows:
    """Nobody knows anything, and trading costs much."""
    x, mid, target, _, warm, posterior = rows(4, n, 5, cold=50)
    return x, mid, target, np.full(n, 2e-3), warm, posterior


def test_where_all_lose_hardly_anything_is_invested() -> None:
    on, off = manager(5, ON), manager(5)
    invested, plain = on.step(*losing()), off.step(*losing())
    assert on.cash > 0.95
    assert off.cash == 0.0
    assert on.member_weights == off.member_weights
    np.testing.assert_allclose(invested[-1], plain[-1] * (1.0 - on.cash), rtol=1e-12)
    np.testing.assert_allclose(invested[0], plain[0] * (1.0 - fixed_share.CASH), rtol=1e-12)


def test_where_an_agent_earns_cash_weighs_next_to_nothing() -> None:
    x, mid, target, _, warm, posterior = rows(1, 6000, 5)
    target[:-1, 3] = 0.5 * np.sign(np.diff(np.log(mid)))
    m = manager(5, ON, delay=0)
    assert m.step(x, mid, target, np.zeros(6000), warm, posterior)[-1].sum() > 0.99
    assert 0.0 < m.cash < 0.01


def test_it_is_an_expert_that_scores_nothing() -> None:
    """Without sharing, the same weights as a member more whose score is 0 has."""
    rng, prior = np.random.default_rng(3), np.array([0.2, 0.5, 0.3])
    weight, square, cash = prior.copy(), np.ones(3), 0.1
    more = np.array([*(0.9 * prior), 0.1])
    flat, flat_square = more.copy(), np.ones(4)
    for _ in range(3000):
        score = rng.normal(-0.02, 0.4, 3)
        growth = fixed_share.learn(score, square, prior, 0.02, 0.0, weight)
        cash = fixed_share.idle(growth, 0.1, 0.0, cash)
        fixed_share.learn(np.array([*score, 0.0]), flat_square, more, 0.02, 0.0, flat)
        np.testing.assert_allclose([*(weight * (1.0 - cash)), cash], flat, rtol=1e-9)
    assert 0.2 < cash < 1.0


def test_any_cut_gives_the_same_bytes() -> None:
    given, whole, pieces = losing(400), manager(5, ON), manager(5, ON)
    wanted = whole.step(*given)
    found = [pieces.step(*part(given, i, j)) for i, j in pairwise((0, 1, 77, 200, 400))]
    assert np.concatenate(found).tobytes() == wanted.tobytes()
    assert pieces.cash == whole.cash


@pytest.mark.parametrize("wanted", [ON, WeighingConfig()])
def test_what_was_learned_goes_elsewhere_without_it(wanted: WeighingConfig) -> None:
    """How much is invested says something of one market only."""
    m = manager(5, ON)
    m.step(*losing(2000))
    other = MetaLearningEnsembleManager(m.agents, wanted)
    learned.load(other, learned.to_bytes(m, {}))
    assert other.member_weights == m.member_weights
    assert other.cash == (fixed_share.CASH if wanted.cash_expert else 0.0)


def by_confidence(aim: np.ndarray, p: np.ndarray, warm: np.ndarray) -> np.ndarray:
    """What is wanted times max(0, 2p - 1) over the mean of that so far, three times at most."""
    out, mean, count = np.zeros(len(aim)), 0.0, 0
    for t in np.flatnonzero(warm & (aim != 0.0)):
        surplus, count = max(2.0 * p[t] - 1.0, 0.0), count + 1
        mean += max(1.0 - 0.5 ** (1 / 4000), 1.0 / count) * (surplus - mean)
        out[t] = np.clip(aim[t] * min(surplus / mean, 3.0), -1.0, 1.0) if surplus else 0.0
    return out


def test_positions_shrink_once_and_confidence_is_that_of_the_agents() -> None:
    x, mid, target, _, warm, posterior = losing(900)
    n = len(mid)
    found, sure = {}, np.random.default_rng(3).uniform(0.3, 0.8, target.shape)
    for weighing in (ON, WeighingConfig()):
        for scaling in (True, False):
            config = TradingConfig(
                agents=tuple("abcde"), weighing=weighing, limits=RiskLimits(confidence_scaling=scaling)
            )
            out = (
                Ensemble(config)
                .step(
                    Inputs.of(
                        np.arange(n),
                        np.arange(n) * 900_000_000_000 + 10**18,
                        np.where(warm != 0, 0, 8),
                        x,
                        mid,
                        target,
                        sure,
                        regime=posterior,
                    )
                )
                .outputs
            )
            found[weighing.cash_expert, scaling] = out.wanted.copy(), out.target.copy(), out.weights.copy()
    weights, plain = found[True, True][-1], found[False, True][-1]
    invested = weights.sum(axis=1)
    assert invested[-1] < 0.9
    for scaling in (True, False):
        wanted, allowed, _ = found[True, scaling]
        aim = netting.follow(weights, target, WeighingConfig().no_trade_band)
        sent = warm.astype(bool) & (np.abs(aim) > 0.1)
        np.testing.assert_allclose(wanted, aim, atol=1e-12)
        p = agreements(weights, target, sure, aim)  # of the agents alone: cash has no opinion
        right = by_confidence(aim, p, warm.astype(bool)) if scaling else aim
        np.testing.assert_allclose(allowed[sent], right[sent], atol=2e-3)
    np.testing.assert_allclose(weights, plain * invested[:, None], atol=1e-12)
