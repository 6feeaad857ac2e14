"""What positions earn on a tape, and the rule with a threshold that a policy is compared with."""

import numpy as np
import pytest
from predictable import RULES, tape

from windvane.infra.policies.judging import Rule, best_rule, judged
from windvane.metamodel.base.config import Costs
from windvane.metamodel.simulation.simulator_rules import SimulatorRules
from windvane.metamodel.simulation.tape import joined

FREE = SimulatorRules(costs=Costs(fee_bp=0.0, delay=0), min_order=0.5)


def test_holding_earns_what_the_market_did() -> None:
    rows = tape(1, 300)
    figures = judged(rows, FREE, np.ones(300))
    path = rows.mid / rows.mid[0] - 1.0
    assert figures["profit"] == pytest.approx(path[-1], abs=1e-9)
    assert figures["drawdown"] == pytest.approx((np.maximum.accumulate(path) - path).max(), abs=1e-9)
    assert (figures["exposed"], figures["short"], figures["trades"]) == (1.0, 0.0, 0)
    assert judged(rows, FREE, -np.ones(300))["profit"] == pytest.approx(-path[-1], abs=1e-9)


def test_markets_of_any_length_are_judged_apart() -> None:
    one, two = tape(1, 300), tape(2, 120)
    position = np.sign(np.sin(np.arange(420) / 7.0))
    both = judged(joined([one, two]), RULES, position)
    alone = [judged(one, RULES, position[:300]), judged(two, RULES, position[300:])]
    assert both["profit"] == pytest.approx(np.mean([part["profit"] for part in alone]), abs=1e-12)
    assert both["drawdown"] == max(part["drawdown"] for part in alone)
    assert both["markets"] == 2


def test_nothing_is_earned_and_nothing_can_be_said_without_a_position() -> None:
    figures = judged(tape(1, 100), RULES, np.zeros(100))
    assert (figures["profit"], figures["sharpe"], figures["drawdown"]) == (0.0, None, 0.0)


def test_a_rule_enters_beyond_its_threshold_and_leaves_near_the_mean() -> None:
    rows = tape(1, 9)
    rows.x[:, 0] = [0.7, 1.2, 0.6, 0.4, -0.2, -1.5, -0.6, 0.1, 1.3]
    assert Rule(0, 1, 0.0, 1.0, 1.0, 0.5).positions(rows).tolist() == [0, 1, 1, 0, 0, -1, -1, 0, 1]
    assert Rule(0, -1, 0.0, 1.0, 1.0, 0.0).positions(rows).tolist() == [0, -1, -1, -1, 0, 1, 1, 0, -1]
    two = joined([rows, rows])
    assert Rule(0, 1, 0.0, 1.0, 1.0, 0.5).positions(two).tolist() == [0, 1, 1, 0, 0, -1, -1, 0, 1] * 2


def test_the_best_rule_is_that_of_the_signal() -> None:
    rows = joined([tape(seed, 2_000) for seed in range(4)])
    rule = best_rule(rows, RULES)
    assert (rule.column, rule.side) == (0, 1)
    assert judged(rows, RULES, rule.positions(rows))["profit"] > 0.1
    assert rule.words.startswith("with trend_8 beyond ")
    backwards = rows._replace(x=-rows.x)
    assert best_rule(backwards, RULES).side == -1
