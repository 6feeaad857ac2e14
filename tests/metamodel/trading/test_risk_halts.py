"""Who may stop trading, what is still sent then, and who may start it again. Capital 1000, price 100."""

from typing import Any

import pytest
from round_trace import (
    DAY,
    SECOND,
    Trace,
    ensemble,
    ready,
)

from windvane.metamodel.base.account import CLOSE, REDUCE
from windvane.metamodel.base.account import FLATTEN as FORCED
from windvane.metamodel.base.rows import BAD, GAP, HEARTBEAT
from windvane.metamodel.trading.control import FLATTEN, HALT, RESTRICT, RESUME
from windvane.metamodel.trading.ensemble import Ensemble
from windvane.metamodel.trading.risk import ACTIVE, HALTED, REDUCE_ONLY

NOW = {"delay": 0}


def loser(costs: dict[str, Any] | None = None, **given: Any) -> Ensemble:
    """Halts at a loss of 2 % since the day began."""
    limits = {"daily_loss": 0.02} | given.pop("limits", {})
    return ready(ensemble(NOW | (costs or {}), limits, **given))


def test_a_daily_loss_halts_flattens_and_waits_for_the_next_day() -> None:
    e = loser()
    played = Trace(
        e, 0.5, [100.0, 96.01, 96.0, 96.0]
    )  # 5 coins lose 19.95, then 20, but 5.2 are held by then
    assert played.verdicts[0] == set()
    bought = 500 / 96.01 - 5
    assert played.orders[1] == pytest.approx(bought, abs=1e-3)
    assert played.verdicts[2] == {"daily_loss"}
    assert played.orders[2] == pytest.approx(-(5 + bought), abs=1e-3)
    assert played.states == [ACTIVE, ACTIVE, HALTED, HALTED]
    assert played.kinds[2] == (1, FORCED)
    assert played.verdicts[3] == {"state"}
    late = Trace(e, 0.5, 96.0, ts=[11_601 * DAY, 11_601 * DAY + 1])  # midnight belongs to the day before
    assert late.states == [HALTED, ACTIVE]
    assert list(late.orders) == [1]
    assert late.statements["halts"][0, 0] == 1


@pytest.mark.parametrize(("fall", "state"), [(95.99, HALTED), (96.0, HALTED), (96.01, ACTIVE)])
def test_the_loss_that_halts(fall: float, state: int) -> None:
    assert Trace(loser(), 0.5, [100.0, fall]).states[1] == state


@pytest.mark.parametrize(("today", "state"), [(93.0, HALTED), (94.0, ACTIVE)])
def test_yesterdays_loss_does_not_count_today(today: float, state: int) -> None:
    e = loser()
    assert Trace(e, 0.5, [100.0, 97.0]).states == [ACTIVE, ACTIVE]  # lost 15, and 5.154 coins are held
    assert Trace(e, 0.5, today, every=DAY).states == [state]  # what happened over midnight is today's


def test_stop_never_resumes() -> None:
    e = loser(on_halt="stop")
    assert Trace(e, 0.5, [100.0, 90.0]).states == [ACTIVE, HALTED]
    played = Trace(e, [0.5] * 20, 90.0, every=DAY)
    assert played.states == [HALTED] * 20
    assert not played.orders
    assert Trace(e, 0.5, 90.0, control=[RESUME]).states == [ACTIVE]


def test_resume_after_counts_good_rows() -> None:
    e = loser(on_halt="resume-after", resume_after=3)
    flags = [0, 0, 0, HEARTBEAT, GAP, HEARTBEAT, 0, 0, 0, 0, 0]
    played = Trace(e, 0.5, [100.0] + [90.0] * 10, flags=flags)
    assert played.states == [ACTIVE] + [HALTED] * 6 + [ACTIVE] * 4
    assert list(played.orders) == [0, 1, 9]  # and healthy again only after three good rows


def test_resume_after_is_not_the_next_day() -> None:
    e = loser(on_halt="resume-after", resume_after=5)
    played = Trace(e, 0.5, [100.0, 90.0, 90.0, 90.0], every=DAY)
    assert played.states == [ACTIVE] + [HALTED] * 3


@pytest.mark.parametrize("given", [{"on_halt": "next-day"}, {"on_halt": "resume-after", "resume_after": 1}])
@pytest.mark.parametrize("code", [HALT, FLATTEN])
def test_only_a_person_lifts_a_persons_halt(given: dict[str, Any], code: int) -> None:
    e = loser(**given)
    Trace(e, 0.5)
    assert Trace(e, 0.5, control=[code]).states == [HALTED]
    assert set(Trace(e, [0.5] * 5, every=DAY).states) == {HALTED}
    assert Trace(e, 0.5, control=[RESUME]).states == [ACTIVE]


def test_a_persons_halt_on_top_of_a_limits_stays() -> None:
    e = loser()
    Trace(e, 0.5, [100.0, 90.0])
    Trace(e, 0.5, 90.0, control=[HALT])
    assert set(Trace(e, [0.5] * 3, 90.0, every=DAY).states) == {HALTED}


def test_a_persons_halt_sends_nothing() -> None:
    played = Trace(ready(ensemble(NOW)), [0.5, 0.0, -1.0, 0.2], control=[0, HALT, 0, 0])
    assert played.orders == {0: 5.0}
    assert played.position == [0.5] * 4
    assert played.verdicts[1:] == [{"state"}] * 3


def test_orders_in_flight_still_fill_after_a_halt() -> None:
    played = Trace(
        ready(ensemble({"delay": 3})), [0.5, 0.7, 0.9, 0.9, 0.9, 0.9], control=[0, 0, HALT, 0, 0, 0]
    )
    assert played.orders == {0: 5.0, 1: pytest.approx(2.0)}
    assert {row: fill[0] for row, fill in played.fills.items()} == {3: 5.0, 4: pytest.approx(2.0)}


def test_a_flatten_counts_what_is_in_flight() -> None:
    played = Trace(
        ready(ensemble({"delay": 2})), [0.5, 0.7, 0.9, 0.9, 0.9, 0.9], control=[0, 0, FLATTEN, 0, 0, 0]
    )
    assert played.orders == {0: 5.0, 1: pytest.approx(2.0), 2: -7.0}
    assert played.position[-2:] == [0.0, 0.0]
    assert played.states[-1] == HALTED


@pytest.mark.parametrize("flag", [BAD, GAP, BAD | HEARTBEAT, GAP | HEARTBEAT])
def test_a_flatten_on_a_flagged_row_waits_for_a_price(flag: int) -> None:
    played = Trace(ready(ensemble(NOW)), [0.5] * 3, control=[0, FLATTEN, 0], flags=[0, flag, 0])
    assert played.states == [ACTIVE, HALTED, HALTED]
    assert played.orders == {0: 5.0, 2: -5.0}


def test_a_flatten_goes_in_slices_of_the_largest_order() -> None:
    played = Trace(
        ready(ensemble(NOW, {"max_order_qty": 2.0})), [0.5] * 8, control=[0, 0, 0, FLATTEN, 0, 0, 0, 0]
    )
    assert played.orders == {0: 2.0, 1: 2.0, 2: 1.0, 3: -2.0, 4: -2.0, 5: -1.0}
    assert played.kinds[3:] == [(1, FORCED)] * 3


def test_a_flatten_in_slices_below_the_least_order_still_ends_flat() -> None:
    e = ready(ensemble(NOW, {"max_order_qty": 1.0}, min_order=0.095))
    Trace(e, [0.1, 0.2, 0.3])
    played = Trace(e, [0.3] * 5, 90.0, control=[FLATTEN, 0, 0, 0, 0])  # a slice is 90 now, the least order 95
    assert played.position[-1] == 0.0


def test_no_flatten_where_none_is_wished() -> None:
    e = loser(limits={"flatten_on_halt": False})
    played = Trace(e, [0.5, 0.5, 0.1, 0.0], [100.0, 90.0, 90.0, 90.0])
    assert list(played.orders) == [0]
    assert played.verdicts[1:] == [{"daily_loss"}, {"state"}, {"state"}]
    assert Trace(e, 0.0, 90.0, control=[FLATTEN]).orders == {0: -5.0}


def test_reduce_only_clips_between_nothing_and_the_position() -> None:
    e = ready(ensemble(NOW))
    targets = [0.5, 0.8, 0.4, -0.4, -0.4]
    played = Trace(e, targets, control=[0, RESTRICT, 0, 0, 0])
    assert played.orders == {0: 5.0, 2: -1.0, 3: -4.0}
    assert played.kinds[1:] == [(1, REDUCE), (1, CLOSE)]
    assert played.states == [ACTIVE] + [REDUCE_ONLY] * 4
    assert played.verdicts == [set(), {"state"}, set(), {"state"}, {"state"}]
    assert Trace(e, -0.4, control=[RESUME]).orders == {0: -4.0}


def test_reduce_only_does_not_loosen_a_halt() -> None:
    e = ready(ensemble(NOW))
    assert Trace(e, 0.5, control=[HALT, RESTRICT]).states == [HALTED, HALTED]


def test_a_persons_reduce_only_outlives_a_limits_halt() -> None:
    e = loser()
    Trace(e, 0.5, [100.0, 100.0], control=[0, RESTRICT])
    assert Trace(e, 0.5, 90.0).states == [HALTED]
    played = Trace(e, 0.5, 90.0, every=DAY)
    assert played.states == [REDUCE_ONLY]
    assert not played.orders


def test_a_reduce_only_ordered_in_a_limits_halt_holds_after_it() -> None:
    e = loser()
    Trace(e, 0.5, [100.0, 90.0])
    Trace(e, 0.5, 90.0, control=[RESTRICT])
    assert Trace(e, 0.5, 90.0, every=DAY).states == [REDUCE_ONLY]


def test_a_drawdown_halts_and_a_resumption_forgets_the_peak() -> None:
    e = ready(ensemble(NOW, {"max_drawdown": 0.05}, on_halt="stop"))
    played = Trace(e, 0.5, [100.0, 112.0, 106.0, 100.0])
    # 60 at the top; 4.464 coins lose 26.8, then the 4.717 held lose 28.3: 55.1
    assert played.verdicts == [set(), set(), set(), {"drawdown"}]
    assert played.states[-1] == HALTED
    assert played.position[-1] == 0.0
    e2 = Trace(e, 0.5, [100.0, 96.0, 92.0, 89.0], control=[RESUME, 0, 0, 0])
    # from where it resumed: 20, then 20.8 of 5.208 coins, then 16.3 of 5.435: 57.1
    assert e2.states == [ACTIVE, ACTIVE, ACTIVE, HALTED]


def test_the_next_day_forgets_the_peak_too() -> None:
    e = ready(ensemble(NOW, {"max_drawdown": 0.05}))
    assert Trace(e, 0.5, [100.0, 89.0]).states[-1] == HALTED
    assert Trace(e, 0.5, [89.0, 86.0], every=[DAY, SECOND]).states == [ACTIVE, ACTIVE]


def test_both_limits_are_said() -> None:
    e = loser(limits={"max_drawdown": 0.02})
    assert Trace(e, 0.5, [100.0, 90.0]).verdicts[1] == {"daily_loss", "drawdown"}


def test_a_halt_behind_the_collar_flattens_at_the_next_price() -> None:
    e = loser(limits={"price_collar": 0.05})
    played = Trace(e, 0.5, [100.0, 90.0, 90.0])
    assert played.states == [ACTIVE, ACTIVE, HALTED]
    assert played.orders == {0: 5.0, 2: -5.0}


def test_controls_hold_for_every_account() -> None:
    e = ready(ensemble(NOW))
    Trace(e, 0.5)
    Trace(e, 0.5, control=[FLATTEN])
    assert e.state()["account.lots"].tolist() == [0, 0, 0, 0]
    assert e.state()["standing.state"].tolist() == [HALTED] * 4
