"""Paper fills and the money they leave, worked out by hand. Capital 1000, price 100."""

from typing import Any

import numpy as np
import pytest
from round_trace import Trace, ensemble, ready

from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.rows import HEARTBEAT, WARMUP
from windvane.metamodel.trading.risk import HALTED


@pytest.mark.parametrize("delay", [0, 1, 3, 7])
def test_a_fill_comes_delay_good_rows_later(delay: int) -> None:
    targets = [0.1, 0.3, 0.2, -0.1, -0.1, 0.4, 0.4, 0.0]
    mids = np.arange(100.0, 120.0)
    e = ready(ensemble({"delay": delay}, {}, min_order=0.0, lot=1e-8))
    played = Trace(e, [*targets, *[0.0] * 12], mids)
    assert list(played.orders)[:2] == [0, 1]
    for (row, qty), fill_row, seq in zip(played.orders.items(), played.fills, played.fill_seq, strict=True):
        assert fill_row == row + delay
        assert seq == row + 4  # three rows of warm-up came first
        assert played.fills[fill_row] == [qty, mids[fill_row], 0.0]
    assert played.position[-1] == 0.0


def test_orders_count_what_is_in_flight() -> None:
    played = Trace(ready(ensemble({"delay": 3})), [0.5, 0.5, 0.8, 0.8, 0.2, 0.2, 0.2, 0.2])
    assert played.orders == {0: 5.0, 2: 3.0, 4: -6.0}
    assert played.position == pytest.approx([0, 0, 0, 0.5, 0.5, 0.8, 0.8, 0.2])
    assert played.out.target.tolist() == pytest.approx([0.5, 0.5, 0.8, 0.8, 0.2, 0.2, 0.2, 0.2])


def test_flagged_rows_do_not_count_as_delay() -> None:
    played = Trace(ready(ensemble({"delay": 2})), [0.5] * 6, flags=[0, HEARTBEAT, 0, HEARTBEAT, HEARTBEAT, 0])
    assert played.orders == {0: 5.0}
    assert list(played.fills) == [5]


def test_a_fill_falls_due_while_warming_up() -> None:
    played = Trace(ready(ensemble({"delay": 2})), [0.5] * 3, flags=[0, WARMUP, WARMUP])
    assert list(played.fills) == [2]


@pytest.mark.parametrize(
    ("costs", "quotes", "bought", "sold"),
    [
        ({}, {}, 100.0, 100.0),
        ({"half_spread_bp": 10.0}, {}, 100.1, 99.9),
        ({"half_spread_bp": 10.0}, {"bid": 99.0, "ask": 102.0}, 102.0, 99.0),
        ({"slippage_bp": 20.0}, {}, 100.2, 99.8),
        ({"slippage_bp": 20.0}, {"bid": 99.0, "ask": 102.0}, 102.0 * 1.002, 99.0 * 0.998),
        ({"slippage_bp": 20.0, "half_spread_bp": 10.0}, {}, 100.1 * 1.002, 99.9 * 0.998),
    ],
)
@pytest.mark.parametrize("delay", [0, 1])
def test_price_and_fee(
    costs: dict[str, Any], quotes: dict[str, float], bought: float, sold: float, delay: int
) -> None:
    e = ready(ensemble({"delay": delay, "fee_bp": 5.0, **costs}), **quotes)
    played = Trace(e, [0.5, 0.5, -0.3, -0.3], **quotes)
    first, second = played.fills.values()
    assert first == pytest.approx([5.0, bought, 5.0 * bought * 5e-4])
    assert second == pytest.approx([-8.0, sold, 8.0 * sold * 5e-4])
    cash = 1000.0 - 5.0 * bought * 1.0005 + 8.0 * sold * 0.9995
    assert e.state()["account.cash"][0] == pytest.approx(cash)
    assert played.equity[-1] == pytest.approx(cash - 300.0)
    assert e.state()["account.lots"][0] == -3000
    assert e.state()["account.fees"][0] == pytest.approx(first[2] + second[2])
    assert e.state()["account.turnover"][0] == pytest.approx((5.0 * bought + 8.0 * sold) / 1000)


def test_a_delayed_fill_takes_the_quotes_of_its_own_row() -> None:
    e = ready(ensemble(), bid=99.0, ask=101.0)
    played = Trace(e, [0.5, 0.5], [100.0, 110.0], bid=[99.0, 108.0], ask=[101.0, 113.0])
    assert played.fills == {1: [5.0, 113.0, 0.0]}
    assert played.equity == [1000.0, 1000.0 - 15.0]


def test_participation_fills_a_share_and_cancels_the_rest() -> None:
    e = ready(ensemble({"participation": 0.1}), size=1.0)
    sizes = [999.0, 20.0, 7.0, 0.0, 500.0, 500.0]
    played = Trace(e, [0.5] * 6, size=sizes)
    # 5 wanted, 2 got; 3 more, 0.7 got; 2.3 more, nothing got; then all of it
    assert played.orders == {0: 5.0, 1: 3.0, 2: pytest.approx(2.3), 3: pytest.approx(2.3)}
    got = {row: fill[0] for row, fill in played.fills.items()}
    assert got == {1: 2.0, 2: pytest.approx(0.7), 4: pytest.approx(2.3)}
    assert played.fill_seq == [4, 5, 7]
    assert played.position == pytest.approx([0, 0.2, 0.27, 0.27, 0.5, 0.5])


def test_participation_takes_whole_lots() -> None:
    e = ready(ensemble({"participation": 0.1, "delay": 0}), size=1.0)
    played = Trace(e, [-0.5, -0.5], size=[0.0199, 0.0099])
    assert {row: fill[0] for row, fill in played.fills.items()} == {0: pytest.approx(-0.001)}
    assert e.state()["account.flying"][0] == 0


def test_with_participation_one_order_works_at_a_time() -> None:
    e = ready(ensemble({"participation": 1.0, "delay": 3}), size=100.0)
    played = Trace(e, [0.5, 0.9, -0.9, 0.2, 0.2, 0.2, 0.2], size=100.0)
    assert played.orders == {0: 5.0, 3: -3.0}
    assert list(played.fills) == [3, 6]


def test_with_participation_a_flatten_is_sent_until_flat() -> None:
    e = ready(ensemble({"participation": 0.5}), size=100.0)
    Trace(e, [0.5, 0.5], size=100.0)
    played = Trace(e, [0.5] * 6, size=[0.0, 2.0, 0.0, 4.0, 50.0, 50.0], control=[4, 0, 0, 0, 0, 0])
    assert {row: fill[0] for row, fill in played.fills.items()} == {1: -1.0, 3: -2.0, 4: -2.0}
    assert played.states[-1] == HALTED
    assert played.position[-1] == 0.0


def test_without_participation_volume_is_no_matter() -> None:
    assert Trace(ready(ensemble(), size=0.0), [0.5, 0.5], size=0.0).fills == {1: [5.0, 100.0, 0.0]}


def test_capital_does_not_compound() -> None:
    played = Trace(ready(ensemble({"delay": 0})), [1.0, 1.0, 0.0, 1.0], [100.0, 200.0, 200.0, 200.0])
    assert played.equity == [1000.0, 2000.0, 2000.0, 2000.0]
    assert played.orders == {0: 10.0, 1: -5.0, 2: -5.0, 3: 5.0}


@pytest.mark.parametrize("target", [1 / 3, -1 / 3, 2 / 3, -0.99999])
def test_quantities_are_whole_lots_toward_zero(target: float) -> None:
    for lot, mid in ((1e-8, 61_234.56), (1e-3, 7.77), (0.25, 3.21), (1.0, 0.77)):
        e = ready(ensemble({"delay": 0}, {}, lot=lot), mid)
        (qty,) = Trace(e, target, mid).orders.values()
        lots = qty / lot
        assert lots == pytest.approx(round(lots), abs=1e-6)
        assert abs(target) * 1000 / mid - lot < abs(qty) <= abs(target) * 1000 / mid
        assert e.state()["account.lots"][0] == round(lots)


@pytest.mark.parametrize("lot", [0.3, 0.4, 0.7, 0.03, 1e-8])
def test_a_lot_is_refused_or_keeps_to_the_limits(lot: float) -> None:
    try:
        e = ensemble({"delay": 0}, {"max_position": 0.5}, lot=lot)
    except ConfigError:
        return
    (qty,) = Trace(ready(e), [0.9], 100.0).orders.values()
    assert abs(qty) * 100 / 1000 <= 0.5 + 1e-12
    assert qty / lot == pytest.approx(round(qty / lot), abs=1e-6)


def test_equity_is_cash_and_what_the_position_is_worth() -> None:
    rng = np.random.default_rng(5)
    mids = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, 400)))
    e = ready(ensemble({"fee_bp": 2.0, "delay": 2, "half_spread_bp": 1.0}, {}, lot=1e-8))
    played = Trace(e, rng.uniform(-1, 1, 400), mids)
    cash, held = 1000.0, 0.0
    for row, (qty, price, fee) in played.fills.items():
        cash, held = cash - qty * price - fee, held + qty
        assert played.equity[row] == pytest.approx(cash + held * mids[row], rel=1e-12)
        assert played.position[row] == pytest.approx(held * mids[row] / 1000, abs=1e-12)
        assert fee == pytest.approx(abs(qty * price) * 2e-4)
    assert len(played.fills) > 390
