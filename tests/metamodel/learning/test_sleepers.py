"""What a round does while agents sleep: the rest as if they were alone, their own accounts as they stood."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from round_trace import MIDNIGHT, SECOND, names

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import Costs, TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.rows import WARMUP
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning import learner
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.control import FLATTEN
from windvane.metamodel.trading.ensemble import (
    Ensemble,
    Round,
)

ROWS = 400
POSTERIOR = np.random.default_rng(7).dirichlet(np.full(7, 0.3), ROWS)
AGENTS = ("a", "b", "c")
PRIOR = (0.4, 0.0, 0.2, 0.2, 0.2, 0.0)


def played(m: MetaLearningEnsembleManager, columns: tuple[Floats, ...], awake: Ints) -> Floats:
    """Weights (n, N) of a learner; awake: (n, N)."""
    x, mid, target, cost = columns
    weights = np.empty_like(target)
    for t in range(len(mid)):
        learner.learn(m.learner, m.rules, mid[t], cost[t], t >= 20, awake[t])
        learner.weigh(m.learner, m.rules, x[t], POSTERIOR[t], target[t], t >= 20, awake[t])
        weights[t] = m.learner.learned.weights
    return weights


def market(seed: int, agents: int) -> tuple[Floats, ...]:
    rng = np.random.default_rng(seed)
    mid = 9e3 * np.exp(np.cumsum(2e-3 * rng.standard_normal(ROWS)))
    return rng.standard_normal((ROWS, 50)), mid, rng.uniform(-1, 1, (ROWS, agents)), np.full(ROWS, 1e-4)


def manager(agents: int, prior: tuple[float, ...]) -> MetaLearningEnsembleManager:
    config = WeighingConfig(prior=prior, max_agent_weight=0.5, min_diversification_agents=2)
    return MetaLearningEnsembleManager([f"a{i}" for i in range(agents)], config, scaler=FeatureScaler())


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4))
def test_the_others_learn_as_if_a_sleeper_were_not_there(seed: int, sleeper: int) -> None:
    """But for Prod, whose rate knows how many agents there are."""
    x, mid, target, cost = market(seed, 5)
    target[:, sleeper] = 0.0
    rest = [i for i in range(5) if i != sleeper]
    awake = np.ones((ROWS, 5), np.int64)
    awake[:, sleeper] = 0
    whole = manager(5, PRIOR)
    for even in (whole.learner.learned.best, whole.learner.learned.w[2:5]):
        even[:] = np.where(awake[0], 0.25, 0.0)
    some = played(whole, (x, mid, target, cost), awake)
    alone = played(manager(4, PRIOR), (x, mid, target[:, rest], cost), np.ones((ROWS, 4), np.int64))
    assert (some[:, sleeper] == 0.0).all()
    np.testing.assert_allclose(some[:, rest], alone, atol=1e-9)


@pytest.mark.parametrize("asleep", [(2,), (0, 2), (0, 1, 2, 3)])
def test_weights_are_whole_again_at_the_row_of_waking(asleep: tuple[int, ...]) -> None:
    awake = np.ones((ROWS, 4), np.int64)
    awake[100:203, list(asleep)] = 0
    m = manager(4, (0.1, 0.2, 0.3, 0.2, 0.2, 0.0))
    weights = played(m, market(1, 4), awake)
    np.testing.assert_allclose(weights[203:].sum(axis=1), 1.0, atol=1e-12)
    assert (weights[203:] <= 0.5 + 1e-12).all()
    np.testing.assert_allclose(m.learner.learned.w.sum(axis=1), 1.0, atol=1e-9)
    assert (weights[100:203][:, list(asleep)] == 0.0).all()


def test_members_hold_where_there_is_nobody_to_follow() -> None:
    awake = np.ones((150, 4), np.int64)
    awake[140:] = 0
    m = manager(4, (0.1, 0.2, 0.3, 0.2, 0.2, 0.0))
    x, mid, target, cost = (column[:150] for column in market(2, 4))
    played(m, (x, mid, target, cost), awake)
    ring = m.learner.memory.member_targets
    assert (ring == ring[0]).all()
    assert (ring != 0.0).all()


def ensemble(limits: dict[str, Any] | None = None, delay: int = 0) -> Ensemble:
    """Three agents, capital 1000, no costs, no least order, prices of 100 and warmed up."""
    e = Ensemble(
        TradingConfig(
            agents=AGENTS,
            capital=1000.0,
            lot=1e-3,
            min_order=0.0,
            costs=Costs(fee_bp=0.0, delay=delay),
            limits=RiskLimits(**(limits or {})),
            weighing=WeighingConfig(max_agent_weight=1.0, min_diversification_agents=0),
        )
    )
    play(e, [(0.0, 0.0, 0.0)] * 4, flags=WARMUP)
    return e


def play(
    e: Ensemble,
    target: list[tuple[float, ...]],
    mid: Any = 100.0,
    awake: tuple[int, ...] = (1, 1, 1),
    flags: int = 0,
    control: int = 0,
    confidence: float = 1.0,
) -> Round:
    n, state = len(target), e.state()
    codes = np.zeros(n, np.int64)
    codes[0] = control
    return e.step(
        Inputs.of(
            np.arange(n) + int(state["clock.seq"][0]) + 1,
            max(int(state["clock.ts"][0]), MIDNIGHT) + SECOND * np.arange(1, n + 1),
            np.full(n, flags),
            np.zeros((n, 50)),
            np.broadcast_to(np.asarray(mid, float), n).copy(),
            np.array(target, float),
            np.full((n, 3), confidence),
            control=codes,
            awake=np.array(awake, np.int64),
        )
    )


def lots(e: Ensemble) -> dict[str, int]:
    return dict(zip(e.accounts, e.state()["account.lots"].tolist(), strict=True))


def test_the_account_of_a_sleeper_holds_and_equal_weights_are_over_the_rest() -> None:
    e = ensemble()
    play(e, [(0.6, 0.2, -0.4)])
    assert lots(e)["agent:b"] == 2000
    play(e, [(0.5, 0.2, 0.1)] * 2, mid=[100.0, 125.0], awake=(1, 0, 1))
    held = lots(e)
    assert held["agent:b"] == 2000
    assert (held["agent:a"], held["agent:c"], held["equal_weights"]) == (4000, 800, 2400)
    play(e, [(0.5, 0.2, 0.1)], mid=125.0)
    assert lots(e)["agent:b"] == 1600


@pytest.mark.parametrize(
    ("limits", "delay"),
    [
        ({}, 0),
        ({}, 2),
        ({"volatility_target": 0.01}, 0),
        ({"kelly_fraction": 0.5}, 0),
        ({"confidence_scaling": True}, 1),
        ({"max_turnover": 5.0, "max_orders": 9, "max_spread_bp": 10.0}, 1),
    ],
)
def test_with_nobody_awake_every_account_holds(limits: dict[str, Any], delay: int) -> None:
    e = ensemble(limits, delay)
    play(e, [(0.9, 0.7, 0.8)] * 3, confidence=0.6)
    play(e, [(0.9, 0.7, 0.8)] * 3, awake=(0, 0, 0), confidence=0.0)
    before = lots(e)
    assert before["ensemble"] > 0
    got = play(e, [(-0.9, 0.7, 0.8)] * 40, mid=100.0 + np.arange(40.0) % 3, awake=(0, 0, 0), confidence=0.0)
    after = lots(e)
    assert {k: v for k, v in after.items() if k != "buy_and_hold"} == {
        k: v for k, v in before.items() if k != "buy_and_hold"
    }
    assert got.orders == 0
    assert all("no_agents" in names(bits) for bits in got.outputs.verdict.tolist())
    assert got.outputs.wanted.tolist() == got.outputs.position.tolist()


def test_with_nobody_awake_limits_still_reduce_and_people_still_close() -> None:
    e = ensemble({"max_position": 0.5})
    play(e, [(0.5, 0.5, 0.5)])
    assert lots(e)["ensemble"] == 5000
    got = play(e, [(0.5, 0.5, 0.5)], mid=200.0, awake=(0, 0, 0))
    assert lots(e)["ensemble"] == 2500
    assert names(int(got.outputs.verdict[0])) == {"no_agents", "position"}
    play(e, [(0.5, 0.5, 0.5)], mid=100.0, awake=(0, 0, 0))
    assert lots(e)["ensemble"] == 2500
    play(e, [(0.5, 0.5, 0.5)], mid=100.0, awake=(0, 0, 0), control=FLATTEN)
    assert lots(e)["ensemble"] == 0


def test_the_last_one_awake_may_have_all_weight_however_low_the_cap() -> None:
    m = manager(4, (0.1, 0.2, 0.3, 0.2, 0.2, 0.0))
    awake = np.zeros((ROWS, 4), np.int64)
    awake[:, 1] = 1
    assert (played(m, market(3, 4), awake)[:, 1] == 1.0).all()
