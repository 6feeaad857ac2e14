"""A person's flatten at heartbeats: sent at once, filled at the next good row. Capital 1000, price 100."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from round_trace import (
    ACTIVE,
    DAY,
    FLATTEN,
    HALT,
    HALTED,
    HEARTBEAT,
    REDUCE_ONLY,
    RESTRICT,
    RESUME,
    Trace,
    ensemble,
    ready,
)
from test_round import agrees, costs, limits, tape

from windvane.metamodel.base.account import FLATTEN as FORCED
from windvane.metamodel.trading.ensemble import Ensemble

NOW = {"delay": 0}
SILENT = {"flags": HEARTBEAT}


def holder(
    costs: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, **given: Any
) -> Ensemble:
    """Holds 5 coins that were bought at 100, and has nothing in flight."""
    given = {"costs": costs or {}, "limits": limits or {}} | given
    e = ready(ensemble(given.pop("costs"), given.pop("limits"), **given))
    Trace(e, [0.5] * 12, size=1e6)
    assert e.state()["account.lots"][0] == 5000
    return e


def fills(played: Trace) -> list[tuple[float, ...]]:
    """Row, coins and price of every fill."""
    return list(played.out.fill[["row", "qty", "price"]][: played.round.fills].tolist())


def silence(e: Ensemble, rows: int, control: int = FLATTEN, **given: Any) -> Trace:
    """Heartbeats, the first of them under a control."""
    return Trace(e, [0.5] * rows, control=[control] + [0] * (rows - 1), **SILENT | given)


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
def test_it_is_sent_once_and_filled_at_the_next_good_row(delay: int) -> None:
    e = holder({"delay": delay, "fee_bp": 10.0})
    played = silence(e, 5, mid=250.0)  # what a heartbeat says of the price does not matter
    assert played.orders == {0: -5.0}
    assert played.kinds == [(1, FORCED)]
    assert played.verdicts == [{"state"}] + [set()] * 4
    assert played.states == [HALTED] * 5
    assert not played.fills
    assert played.out.target.tolist() == [0.0] * 5
    sent = int(e.state()["clock.urgent_seq"][0])
    later = Trace(e, [0.5] * 9, [98.0, *[97.0] * 8])
    assert fills(later) == [(0, -5.0, 98.0)]
    assert later.fill_seq == [sent]
    assert later.fills[0][-1] == pytest.approx(5 * 98.0 * 1e-3)
    assert not later.orders
    assert later.position == [0.0] * 9
    assert set(later.states) == {HALTED}
    assert Trace(e, [0.5], control=[RESUME]).orders == {0: pytest.approx(5.0, rel=0.02)}


def test_what_is_in_flight_is_filled_before_it() -> None:
    e = holder({"delay": 1})
    assert Trace(e, [0.8]).orders == {0: 3.0}
    assert silence(e, 2).orders == {0: -8.0}
    later = Trace(e, [0.8] * 2)
    assert fills(later) == [(0, 3.0, 100.0), (0, -8.0, 100.0)]
    assert later.fill_seq[1] == later.fill_seq[0] + 1
    assert later.position == [0.0, 0.0]


def test_it_never_turns_a_position_by_overtaking_an_order() -> None:
    e = holder({"delay": 3})
    assert Trace(e, [0.8, 0.6]).orders == {0: 3.0, 1: -2.0}
    assert silence(e, 3).orders == {0: -5.0}
    later = Trace(e, [0.8] * 5)
    assert [qty for _, qty, _ in fills(later)] == [-5.0, 3.0, -2.0, -1.0]
    assert later.orders == {0: -1.0}  # what was still in flight
    assert later.position == [0.0, 0.3, pytest.approx(0.1), 0.0, 0.0]


def test_a_position_that_turns_on_its_way_is_closed_at_the_next_good_row() -> None:
    e = holder({"delay": 2})
    assert Trace(e, [-0.3]).orders == {0: -8.0}
    quiet = silence(e, 2)
    assert not quiet.orders
    assert quiet.verdicts == [set(), set()]
    later = Trace(e, [0.5] * 4)
    assert later.orders == {0: 3.0}
    assert later.position == [0.5, -0.3, 0.0, 0.0]


def test_a_short_position_is_bought_back() -> None:
    e = ready(ensemble(NOW))
    Trace(e, [-0.5])
    assert silence(e, 2).orders == {0: 5.0}
    assert Trace(e, [-0.5]).position == [0.0]


def test_one_that_waits_for_a_price_goes_with_the_next_heartbeat() -> None:
    e = holder(NOW, {"price_collar": 0.05})
    played = Trace(e, [0.5] * 3, [110.0, 110.0, 110.0], control=[FLATTEN, 0, 0], flags=[0, HEARTBEAT, 0])
    assert played.orders == {1: -5.0}
    assert fills(played) == [(2, -5.0, 110.0)]


def test_slices_of_the_largest_order_go_one_by_one() -> None:
    e = holder(NOW, {"max_order_qty": 2.0})
    played = silence(e, 3)
    assert played.orders == {0: -2.0}
    assert played.verdicts == [{"state", "order_qty"}, *[{"state", "order_qty", "in_flight"}] * 2]
    mixed = Trace(e, [0.5] * 4, flags=[0, HEARTBEAT, HEARTBEAT, 0])
    assert mixed.orders == {0: -2.0, 1: pytest.approx(-1.0)}
    assert mixed.position == [pytest.approx(0.1)] * 3 + [0.0]


def test_it_counts_among_the_orders_of_the_day_and_passes_their_limits() -> None:
    e = holder(NOW, {"max_orders": 1, "orders_interval": DAY, "max_turnover": 0.6})
    assert silence(e, 1).orders == {0: -5.0}
    again = Trace(e, [0.5] * 2, control=[0, RESUME])
    assert again.verdicts[1] == {"order_rate"}
    assert e.state()["standing.day_turnover"][0] == 1000.0


def test_the_least_order_holds_but_for_a_close() -> None:
    assert silence(holder(NOW, min_order=0.4), 1).orders == {0: -5.0}
    for least, sent in ((0.04, {0: pytest.approx(-0.5)}), (0.4, {})):
        e = holder({"delay": 3}, min_order=least)
        assert list(Trace(e, [0.05, 0.5]).orders) == [0, 1]  # on its way the position is half a coin
        played = silence(e, 1)
        assert played.orders == sent
        assert played.verdicts == [{"state"} if sent else {"state", "min_order"}]


def test_no_order_is_sent_while_another_works_and_a_share_is_filled() -> None:
    e = holder({"delay": 1, "participation": 0.5})
    assert Trace(e, [0.8], size=100.0).orders == {0: 3.0}
    assert silence(e, 1, size=100.0).verdicts == [{"state", "in_flight"}]
    assert Trace(e, [0.8], size=0.0).orders == {0: -5.0}  # of the 3 nothing was filled
    e = holder({"delay": 1, "participation": 0.5})
    assert silence(e, 1, size=100.0).orders == {0: -5.0}
    later = Trace(e, [0.5] * 3, size=[4.0, 100.0, 100.0])
    assert [qty for _, qty, _ in fills(later)] == [-2.0, -3.0]
    assert later.position == [pytest.approx(0.3), 0.0, 0.0]


def limited(**given: Any) -> Ensemble:
    """Halted by a limit, whose flattening goes in slices; 1 coin of 5 is sold."""
    e = holder(NOW, {"daily_loss": 0.02, "max_order_qty": 1.0} | given)
    assert Trace(e, [0.5], 90.0).states == [HALTED]
    return e


def test_only_a_persons_flatten_trades_at_heartbeats() -> None:
    e = limited()
    for control in (0, HALT, RESTRICT):
        quiet = silence(e, 2, control)
        assert not quiet.orders
        assert quiet.verdicts == [set(), set()]
    assert silence(e, 2).orders == {0: -1.0}
    assert silence(holder(NOW), 3, HALT).orders == {}


def test_a_halt_after_it_does_not_call_it_back() -> None:
    e = holder(NOW, {"max_order_qty": 2.0})
    played = Trace(e, [0.5] * 4, control=[FLATTEN, HALT, 0, 0], flags=[HEARTBEAT, HEARTBEAT, 0, HEARTBEAT])
    assert played.orders == {0: -2.0, 2: -2.0, 3: pytest.approx(-1.0)}


def test_one_that_was_sent_is_filled_although_a_person_resumes() -> None:
    e = holder(NOW)
    silence(e, 1)
    assert silence(e, 1, RESUME).states == [ACTIVE]
    later = Trace(e, [0.4])
    assert [(row, qty) for row, qty, _ in fills(later)] == [(0, -5.0), (0, 4.0)]
    assert later.position == [0.4]


def test_controls_stand_in_the_row_of_a_heartbeat() -> None:
    e = holder(NOW)
    controls = [0, HALT, RESUME, RESTRICT, RESUME, FLATTEN, 0]
    played = Trace(e, [0.5] * 7, control=controls, **SILENT)
    assert played.states == [ACTIVE, HALTED, ACTIVE, REDUCE_ONLY, ACTIVE, HALTED, HALTED]
    assert list(played.orders) == [5]


def test_every_account_is_closed() -> None:
    e = holder(NOW)
    silence(e, 2)
    assert e.state()["account.urgent"].tolist() == [-5000, -5000, -10000, -5000]
    Trace(e, [0.5])
    for name in ("lots", "flying", "urgent"):
        assert not e.state()[f"account.{name}"].any(), name


def test_nothing_is_sold_on_a_level_that_is_not_believed() -> None:
    e = holder(NOW)
    Trace(e, [0.5], 300.0)
    quiet = silence(e, 2)
    assert not quiet.orders
    assert quiet.verdicts == [{"state", "collar"}] * 2
    assert silence(e, 1, RESUME).orders == {}
    assert silence(e, 1).orders == {}  # the level is to be believed, but no price of it is yet
    assert Trace(e, [0.5], 300.0).orders == {0: -5.0}


def test_without_a_position_nothing_is_sent() -> None:
    assert not silence(ready(ensemble()), 3).orders
    assert not silence(ensemble(), 3).orders


def test_a_book_that_may_only_be_long_sells_what_it_will_hold() -> None:
    e = holder({"delay": 3}, {"long_only": True})
    assert Trace(e, [-1.0, 0.5]).orders == {0: -5.0, 1: 5.0}
    assert not silence(e, 2).orders  # on its way the position is 0
    assert min(Trace(e, [0.5] * 8).position) == 0.0


scenes = some.tuples(
    some.sampled_from(["calm", "heartbeat", "heartbeat", "wild", "dry", "jump", "gap", "stray"]),
    some.integers(1, 4),
    some.sampled_from([0, 0, 0, 0, FLATTEN, FLATTEN, RESUME, RESUME, HALT]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    costs,
    limits,
    some.lists(scenes, min_size=6, max_size=16),
    some.booleans(),
    some.sampled_from([0.0, 0.05]),
    some.integers(0, 2**32),
)
def test_heartbeats_equal_the_reference(
    costs: dict[str, Any],
    limits: dict[str, Any],
    scenes: list[tuple[str, int, int]],
    quoted: bool,
    min_order: float,
    seed: int,
) -> None:
    agrees(ensemble(costs, limits, min_order=min_order), tape(scenes, 3, quoted, True, seed))
