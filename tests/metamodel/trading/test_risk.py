"""Every gate by itself, worked out by hand: capital 1000 at a price of 100, so a target of 1 is 10 coins."""

import math
from typing import Any

import numpy as np
import pytest
from round_trace import DAY, SECOND, Trace, ensemble, ready

from windvane.metamodel.base.account import CLOSE
from windvane.metamodel.base.rows import BAD, GAP, HEARTBEAT, WARMUP
from windvane.metamodel.trading.risk import GATES

NOW = {"delay": 0}


def test_the_order_of_the_gates() -> None:
    assert (
        *("state", "data", "spread", "collar", "position", "notional", "order_qty", "order_rate", "turnover"),
        *("daily_loss", "drawdown", "var", "volatility", "kelly", "confidence", "min_order", "in_flight"),
        *("no_agents", "long_only"),
    ) == GATES


@pytest.mark.parametrize(
    ("limits", "target", "qty", "verdict"),
    [
        ({}, 0.7, 7.0, set()),
        ({}, 1.0, 10.0, set()),
        ({}, -1.0, -10.0, set()),
        ({"max_position": 0.5}, 0.5, 5.0, set()),
        ({"max_position": 0.5}, 0.501, 5.0, {"position"}),
        ({"max_position": 0.5}, -0.7, -5.0, {"position"}),
        ({"max_position": 3.0}, 2.5, 25.0, set()),
        ({"max_notional": 200.0}, 0.3, 2.0, {"notional"}),
        ({"max_notional": 200.0}, -0.3, -2.0, {"notional"}),
        ({"max_notional": 200.0, "max_position": 0.25}, 1.0, 2.0, {"position", "notional"}),
        ({"max_notional": 300.0}, 0.3, 3.0, set()),
        ({"max_order_qty": 1.25}, 0.3, 1.25, {"order_qty"}),
        ({"max_order_qty": 3.0}, -0.31, -3.0, {"order_qty"}),
        ({"max_turnover": 0.4}, 0.5, 4.0, {"turnover"}),
        ({"max_turnover": 0.4}, -0.5, -4.0, {"turnover"}),
        ({"max_spread_bp": 9.0}, 0.5, None, {"spread"}),
        ({"max_spread_bp": 11.0}, 0.5, 5.0, set()),
        ({"confidence_scaling": True}, 0.5, None, {"confidence"}),
        ({}, 0.50019, 5.001, set()),  # toward zero
        ({}, -0.50019, -5.001, set()),
        ({}, 0.00009, None, set()),
        ({"long_only": True}, 0.5, 5.0, set()),
        ({"long_only": True}, -0.5, None, {"long_only"}),
        ({"long_only": True, "max_position": 0.5}, -0.7, None, {"long_only"}),
        ({"long_only": True, "confidence_scaling": True}, -0.5, None, {"confidence"}),
    ],
)
def test_one_order(limits: dict[str, Any], target: float, qty: float | None, verdict: set[str]) -> None:
    e = ready(ensemble({"half_spread_bp": 5.0}, limits))
    played = Trace(e, target, confidence=0.4)
    assert played.orders == ({} if qty is None else {0: pytest.approx(qty)})
    assert played.verdicts == [verdict]


def test_warming_up_sends_nothing() -> None:
    played = Trace(ensemble(), [1.0] * 9, flags=WARMUP)
    assert not played.orders
    assert played.verdicts == [set()] * 9


@pytest.mark.parametrize("flag", [HEARTBEAT, BAD, GAP, HEARTBEAT | WARMUP, GAP | BAD])
def test_flagged_rows_send_and_fill_nothing(flag: int) -> None:
    e = ready(ensemble())
    played = Trace(e, [0.5, 0.9, 0.9, 0.5], [100.0, 900.0, 100.0, 100.0], flags=[0, flag, flag, 0])
    assert list(played.orders) == [0]
    assert list(played.fills) == [3]  # the next good row
    assert played.equity == [1000.0] * 4
    assert played.verdicts[1:3] == [set(), set()]


def test_after_a_gap_only_reductions_for_three_good_rows() -> None:
    e = ready(ensemble(NOW))
    played = Trace(e, [0.5, 0.0, 0.9, 0.4, -0.2, 0.3], flags=[0, GAP, 0, 0, 0, 0])
    assert played.orders == {0: 5.0, 3: -1.0, 4: -4.0, 5: 3.0}
    assert played.verdicts == [set(), set(), {"data"}, set(), {"data"}, set()]


def test_a_heartbeat_is_no_gap() -> None:
    played = Trace(ready(ensemble(NOW)), [0.5, 0.5, 0.9], flags=[0, HEARTBEAT, 0])
    assert played.orders == {0: 5.0, 2: 4.0}


def test_a_new_gap_counts_anew() -> None:
    played = Trace(ready(ensemble(NOW)), [0.0, 0.0, 0.0, 0.0] + [0.9] * 4, flags=[GAP, 0, 0, GAP, 0, 0, 0, 0])
    assert played.orders == {7: 9.0}


def test_a_wide_spread_lets_only_reductions_pass() -> None:
    e = ready(ensemble(NOW, {"max_spread_bp": 10.0}))
    played = Trace(
        e, [0.5, 0.9, 0.3, -0.3, -0.3], bid=[99.95, 99, 99, 99, 99.96], ask=[100.05, 101, 101, 101, 100.04]
    )
    assert list(played.orders) == [0, 2, 3, 4]
    assert played.orders == {0: 5.0, 2: -2.0, 3: -3.0, 4: -3.0}
    assert played.verdicts == [set(), {"spread"}, set(), {"spread"}, set()]


def test_the_collar_stops_even_reductions() -> None:
    e = ready(ensemble(NOW, {"price_collar": 0.05}))
    inside, outside = 100 * math.exp(0.0499), 100 * math.exp(0.0499 + 0.0501)
    played = Trace(e, [0.5, 0.0, 0.0, 0.0], [100.0, outside, outside, inside])
    assert played.orders == {0: 5.0, 2: -5.0}  # a price that stays is the last good one
    assert played.verdicts[:3] == [set(), {"collar"}, set()]
    assert "collar" not in Trace(e, [0.1], inside * math.exp(-0.0499)).verdicts[0]


def test_the_collar_looks_past_flagged_rows() -> None:
    e = ready(ensemble(NOW, {"price_collar": 0.05}))
    played = Trace(e, [0.5, 0.5, 0.9], [100.0, 150.0, 101.0], flags=[0, HEARTBEAT, 0])
    assert list(played.orders) == [0, 2]


def test_the_collar_holds_back_a_flatten() -> None:
    e = ready(ensemble(NOW, {"price_collar": 0.05}))
    played = Trace(e, 0.5, [100.0, 110.0, 110.0], control=[0, 4, 0])
    assert played.orders == {0: 5.0, 2: -5.0}
    assert played.verdicts[1] == {"state", "collar"}


def test_orders_in_an_interval() -> None:
    e = ready(ensemble(NOW, {"max_orders": 2, "orders_interval": 10 * SECOND}))
    played = Trace(
        e,
        [0.1, 0.2, 0.3, 0.1, 0.2, -0.4, 0.5],
        every=[SECOND, 2 * SECOND, SECOND, SECOND, SECOND, 5 * SECOND, SECOND],
    )
    # sent at 1 and 3; refused at 4; a reduction passes at 5 and counts; refused at 6; at 11, when 3 and 5
    # count, a flip is a close; refused at 12
    assert played.orders == {0: 1.0, 1: 1.0, 3: -1.0, 5: -1.0}
    assert played.verdicts == [
        set(),
        set(),
        {"order_rate"},
        set(),
        {"order_rate"},
        {"order_rate"},
        {"order_rate"},
    ]
    assert Trace(e, [0.5], every=10 * SECOND).orders == {0: 5.0}


def test_an_order_leaves_the_interval_exactly_at_its_end() -> None:
    e = ready(ensemble(NOW, {"max_orders": 1, "orders_interval": 10 * SECOND}))
    played = Trace(e, [0.1, 0.2, 0.2], every=[SECOND, 10 * SECOND - 1, 1])
    assert list(played.orders) == [0, 2]


def test_turnover_of_a_day_and_its_end() -> None:
    e = ready(ensemble(NOW, {"max_turnover": 1.0}))
    played = Trace(e, [0.6, 0.3, 0.5, -0.2, 0.0, 0.1])
    # 600 + 300, then 100 of the 200 wanted are left; the rest of the day only reduces
    assert played.orders == {0: 6.0, 1: -3.0, 2: 1.0, 3: -4.0}
    assert played.verdicts == [set(), set(), {"turnover"}, {"turnover"}, set(), {"turnover"}]
    assert Trace(e, [0.1], every=DAY).orders == {0: 1.0}


def test_a_flip_pays_for_its_close_first() -> None:
    e = ready(ensemble(NOW, {"max_turnover": 1.0}))
    played = Trace(e, [0.5, -0.5])
    assert played.orders == {0: 5.0, 1: -5.0}
    assert ready(e) is e
    e = ready(ensemble(NOW, {"max_turnover": 1.2}))
    assert Trace(e, [0.5, -0.5]).orders == {0: 5.0, 1: -7.0}


def test_least_order_and_its_exemption() -> None:
    e = ready(ensemble(NOW, min_order=0.1))
    played = Trace(e, [0.0999, 0.1, 0.199, 0.02, -0.05, 0.0])
    assert played.orders == {1: 1.0, 4: pytest.approx(-1.5), 5: pytest.approx(0.5)}
    assert played.verdicts == [{"min_order"}, set(), {"min_order"}, {"min_order"}, set(), set()]


def test_long_only_sells_what_is_held_and_no_more() -> None:
    played = Trace(ready(ensemble({"delay": 2}, {"long_only": True})), [0.5, 0.2, -0.9, -0.9, 0.1])
    assert played.orders == {0: 5.0, 1: -3.0, 2: -2.0, 4: 1.0}
    assert played.verdicts == [set(), set(), {"long_only"}, {"long_only"}, set()]
    assert played.kinds[2] == (1, CLOSE)


def test_a_position_grown_by_the_price_is_cut() -> None:
    e = ready(ensemble(NOW, {"max_position": 0.5}))
    played = Trace(e, 0.9, [100.0, 125.0])
    assert played.orders == {0: 5.0, 1: -1.0}


def test_a_reduction_passes_every_gate_but_an_invalid_price() -> None:
    tight = {
        "max_spread_bp": 1.0,
        "max_orders": 1,
        "orders_interval": DAY,
        "max_turnover": 0.1,
        "max_position": 0.1,
    }
    e = ready(ensemble(NOW, tight | {"confidence_scaling": True}))
    played = Trace(
        e, [0.1, 0.05, 0.02, 0.0], flags=[0, GAP, 0, 0], bid=[100, 99, 99, 99], ask=[100, 101, 101, 101]
    )
    assert played.orders == {0: 1.0, 2: pytest.approx(-0.8), 3: pytest.approx(-0.2)}


def alternate(n: int, move: float) -> np.ndarray:
    """Prices that jump by `move` up and down: every squared log return is the same."""
    return 100.0 * np.exp(np.arange(n) % 2 * move)


def test_value_at_risk_by_hand() -> None:
    move, minute = 1e-4, 60 * SECOND
    e = ensemble(NOW, {"var_95": 0.004}, lot=1e-8)
    Trace(e, [0.0] * 200, alternate(200, move), every=minute, flags=WARMUP)
    played = Trace(e, [1.0, 0.2], [100.0, 100.0 * math.exp(move)], every=minute)
    day = move * math.sqrt(1440)  # 0.37 % a day, 0.62 % at 95 %
    assert played.verdicts == [{"var"}, set()]
    assert played.orders[0] * 100 / 1000 == pytest.approx(0.004 / (1.6448536 * day), rel=1e-6)


def test_volatility_target_by_hand() -> None:
    move, minute = 1e-4, 60 * SECOND
    year = move * math.sqrt(1440 * 365)  # 7.25 %
    for target, share in ((0.02, 0.02 / year), (0.5, 1.0)):
        e = ensemble(NOW, {"volatility_target": target}, lot=1e-8)
        Trace(e, [0.0] * 200, alternate(200, move), every=minute, flags=WARMUP)
        played = Trace(e, [-0.8], every=minute)
        assert played.verdicts == [{"volatility"} if share < 1 else set()]
        assert played.orders[0] * 100 / 1000 == pytest.approx(-0.8 * share, rel=1e-6)


def test_kelly_by_hand() -> None:
    e = ready(ensemble(NOW, {"kelly_fraction": 0.01}, lot=1e-8))
    returns = np.array([0.0, 0.01, -0.005, 0.01])
    played = Trace(e, [0.5, 0.5, 1.0, 0.8], 100 * np.exp(np.cumsum(returns)))
    earned = np.array([0.0, 0.005, -0.0025, 0.01])  # what was wanted the row before, times the return
    keep = 0.5 ** (1 / 4000)
    weights = (1 - keep) * keep ** np.arange(3, -1, -1)
    bet = 0.01 * (weights @ earned) / (weights @ earned**2)
    assert 0 < bet < 1
    assert played.verdicts[-1] == {"kelly"}
    assert played.out.target[-1] == pytest.approx(0.8 * bet, rel=1e-6)


def test_kelly_of_a_losing_record_is_no_bet() -> None:
    e = ready(ensemble(NOW, {"kelly_fraction": 1.0}))
    played = Trace(e, [0.5, 0.5, 0.5], [100.0, 99.0, 98.0])
    assert played.orders == {0: 5.0, 1: -5.0}
    assert played.verdicts[1:] == [{"kelly"}, {"kelly"}]


def test_sizes_multiply() -> None:
    limits = {"volatility_target": 0.02, "confidence_scaling": True}
    e = ensemble(NOW, limits, lot=1e-8)
    Trace(e, [0.0] * 200, alternate(200, 1e-4), every=60 * SECOND, flags=WARMUP)
    played = Trace(e, [1.0, 1.0], 100.0, every=60 * SECOND, confidence=[0.9, 0.6])
    sizes = 0.02 / (1e-4 * np.sqrt([1.0, 1.0 - 2.0 / 129.0]) * math.sqrt(1440 * 365))
    assert played.out.target == pytest.approx(sizes * [1.0, 0.2 / 0.5], rel=1e-6)
    assert played.verdicts == [{"volatility"}, {"volatility", "confidence"}]


def test_confidence_scales_by_what_is_expected_over_its_mean() -> None:
    e = ready(ensemble(NOW, {"confidence_scaling": True, "max_position": 0.5}, lot=1e-8))
    target, sure = [0.2, -0.2, 0.0, 0.2, 0.2, 0.4], [0.6, 0.7, 0.9, 0.4, 0.7, 0.8]
    played = Trace(e, target, confidence=sure)
    step, mean, wanted = 1 - 0.5 ** (1 / 4000), 0.0, []
    for n, surplus in enumerate(
        [0.2, 0.4, 0.0, 0.4, 0.6], 1
    ):  # the row that wants nothing counts for nothing
        mean += max(step, 1 / n) * (surplus - mean)
        wanted.append(surplus / mean)
    factors = [*wanted[:2], 1.0, *wanted[2:]]
    assert played.out.target == pytest.approx(np.clip(np.multiply(target, factors), -0.5, 0.5), abs=1e-6)
    scaled = {"confidence"}
    assert played.verdicts == [set(), scaled, set(), scaled, scaled, {"confidence", "position"}]


def test_what_is_nearly_never_expected_is_enlarged_threefold_at_most() -> None:
    e = ready(ensemble(NOW, {"confidence_scaling": True}, lot=1e-8))
    played = Trace(e, [0.1] * 9, confidence=[0.5] * 8 + [0.9])
    assert played.out.target == pytest.approx([0.0] * 8 + [0.3], abs=1e-6)
    again = Trace(e, [0.0, 0.3], confidence=[0.0, 0.0])
    assert again.out.target == pytest.approx([0.0, 0.0])


def test_confidence_leaves_the_size_as_it_is_on_average() -> None:
    """With confidences as rules have them: about half, give or take a twentieth."""
    e = ready(ensemble(NOW, {"confidence_scaling": True}, lot=1e-8, agents=("a",)))
    rng = np.random.default_rng(0)
    played = Trace(e, [0.1] * 9_000, confidence=rng.beta(60.0, 52.0, 9_000))
    assert played.out.target[1_000:].mean() == pytest.approx(0.1, rel=0.05)
    assert played.out.target.std() > 0.05
