"""The round against the slow reference, row by row: orders, fills, money, verdicts, state, statements."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from reference_rows import Row, Seen
from round_reference import Reference
from round_trace import (
    DAY,
    MIDNIGHT,
    SECOND,
    Trace,
    ensemble,
    names,
    ready,
)

from windvane.metamodel.base.rows import BAD, GAP, HEARTBEAT, LEVEL, WARMUP
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.control import FLATTEN, HALT, RESTRICT, RESUME
from windvane.metamodel.trading.ensemble import Ensemble, Round

NOISE = {"calm": 2e-4, "wild": 0.02, "steady": 0.0}
SCENES = ("calm", "wild", "steady", "jump", "wide", "dry", "heartbeat", "bad", "gap", "tomorrow", "weekend")
LEVELS = ("stray", "vouched")
scene = some.tuples(
    some.sampled_from((*SCENES, *LEVELS)),
    some.integers(1, 12),
    some.sampled_from([*[0] * 12, HALT, RESTRICT, RESUME, RESUME, FLATTEN]),
)


def maybe(*values: float) -> some.SearchStrategy[float | None]:
    return some.sampled_from([None, None, *values])


costs = some.fixed_dictionaries(
    {
        "fee_bp": some.sampled_from([0.0, 1.0, 7.5]),
        "slippage_bp": some.sampled_from([0.0, 2.0]),
        "half_spread_bp": some.sampled_from([0.0, 3.0]),
        "delay": some.sampled_from([0, 1, 2, 3, 5]),
        "participation": some.sampled_from([0.0, 0.0, 0.1, 1.0]),
    }
)
limits = some.fixed_dictionaries(
    {
        "max_spread_bp": maybe(5.0, 40.0),
        "price_collar": maybe(0.01, 0.05),
        "max_position": some.sampled_from([0.13, 0.7, 1.0, 50.0]),
        "max_notional": maybe(333.0, 950.0),
        "max_order_qty": maybe(0.37, 4.0),
        "max_orders": maybe(1, 3),
        "orders_interval": some.sampled_from([3 * SECOND, 60 * SECOND]),
        "max_turnover": maybe(0.9, 4.0),
        "daily_loss": maybe(0.001, 0.02),
        "max_drawdown": maybe(0.002, 0.03),
        "var_95": maybe(0.02, 0.3),
        "volatility_target": maybe(0.3, 2.0),
        "kelly_fraction": maybe(0.01, 0.5, 1.0),
        "confidence_scaling": some.booleans(),
        "flatten_on_halt": some.booleans(),
        "long_only": some.booleans(),
    }
)
halting = some.sampled_from(
    [{"on_halt": "stop"}, {"on_halt": "next-day"}, {"on_halt": "resume-after", "resume_after": 4}]
)


def tape(scenes: list[tuple[str, int, int]], warmup: int, quoted: bool, sized: bool, seed: int) -> list[Row]:
    """Rows of the scenes; a control comes with the first row of a scene, which may be a flagged one."""
    rng, rows = np.random.default_rng(seed), []
    price, ts, target = 97.0 * np.exp(rng.normal()), MIDNIGHT + 1, 0.3
    bid, ask, size = price, price, 0.0
    for kind, length, control in [("calm", warmup, 0), *scenes]:
        for i in range(length):
            flag = {"heartbeat": HEARTBEAT, "bad": BAD, "gap": GAP}.get(kind, 0)
            ts += {"tomorrow": DAY // 3, "weekend": 2 * DAY}.get(kind, SECOND) if i == 0 else SECOND
            if kind in LEVELS and i == 0:
                price *= 3.0 if price < 170.0 else 0.3
                flag = LEVEL if kind == "vouched" else 0
            if flag in (0, LEVEL):
                price *= np.exp(
                    rng.normal() * NOISE.get(kind, 2e-4) + (0.03 if kind == "jump" and i == 0 else 0)
                )
                half = price * (3e-3 if kind == "wide" else 1e-4) * rng.uniform(0.5, 1.5)
                bid, ask = price - half, price + half
                size = 0.0 if kind == "dry" else float(rng.exponential(30.0))
                target = float(rng.uniform(-1, 1)) if rng.random() < 0.6 else target
                target = float(np.sign(target)) if rng.random() < 0.1 else target
            sure = float(rng.uniform()) if flag in (0, LEVEL) else 0.0
            flag |= WARMUP if len(rows) < warmup else 0
            quotes = (float(bid), float(ask)) if quoted else (None, None)
            volume = size if sized else None
            code = control if i == 0 else 0
            rows.append(Row(len(rows), int(ts), flag, float(price), *quotes, volume, target, sure, code))
    return rows


def play(e: Ensemble, rows: list[Row]) -> Round:
    def column(name: str, kind: type = np.float64) -> Any:
        values = [getattr(row, name) for row in rows]
        return None if values[0] is None else np.array(values, kind)

    return e.step(
        Inputs.of(
            column("seq", np.int64),
            column("ts", np.int64),
            column("flag", np.int64),
            np.zeros((len(rows), 50)),
            column("mid"),
            column("wanted")[:, None],
            column("confidence")[:, None],
            bid=column("bid"),
            ask=column("ask"),
            size=column("size"),
            control=column("control", np.int64),
        )
    )


def compare(e: Ensemble, got: Round, rows: list[Row], seen: list[Seen]) -> None:
    o, capital, lot = got.outputs, e.config.capital, e.config.lot
    orders = {int(order["row"]): order for order in o.order[: got.orders]}
    fills = o.fill[: got.fills]
    assert len(rows) == len(seen)
    for t, want in enumerate(seen):
        said = names(int(o.verdict[t]))
        assert (t, int(o.state[t]), said) == (t, want.state, set(want.verdict))
        qty = orders[t]["qty"] if t in orders else 0.0
        assert (t, round(qty / lot)) == (t, want.order)
        found = fills[fills["row"] == t].tolist()
        assert (t, len(found)) == (t, len(want.fills))
        for fill, (seq, lots, price, fee) in zip(found, want.fills, strict=True):
            assert fill == pytest.approx((t, seq, lots * lot, float(price), float(fee)), rel=1e-11)
        if t in orders:
            assert orders[t]["target_after"] == pytest.approx(want.aim * lot * want.mid / capital, rel=1e-11)
            held = want.aim - want.order
            reduces = 0 <= want.aim < held or held < want.aim <= 0
            assert orders[t]["reduce_only"] == reduces
        assert o.position[t] == pytest.approx(want.lots * lot * want.mid / capital, rel=1e-11)
        assert o.equity[t] == pytest.approx(float(want.equity), rel=1e-11)


def agrees(e: Ensemble, rows: list[Row]) -> tuple[Round, Reference]:
    """Play the rows to both, and compare what they gave and where they stand."""
    reference = Reference(e.config)
    seen = [reference.row(row) for row in rows]
    got = play(e, rows)
    compare(e, got, rows, seen)
    state = e.state()
    assert state["account.lots"][0] == reference.lots
    assert state["account.cash"][0] == pytest.approx(float(reference.cash), rel=1e-11)
    return got, reference


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    costs,
    limits,
    halting,
    some.lists(scene, min_size=3, max_size=14),
    some.integers(0, 6),
    some.booleans(),
    some.booleans(),
    some.sampled_from([0.0, 0.05]),
    some.integers(0, 2**32),
)
def test_rounds_equal_the_reference(
    costs: dict[str, Any],
    limits: dict[str, Any],
    halting: dict[str, Any],
    scenes: list[tuple[str, int, int]],
    warmup: int,
    quoted: bool,
    sized: bool,
    min_order: float,
    seed: int,
) -> None:
    e = ensemble(costs, limits, min_order=min_order, **halting)
    got, reference = agrees(e, tape(scenes, warmup, quoted, sized, seed))
    closed = e.close()
    assert (closed is None) == (reference.day < 0)
    o = got.outputs
    rows_of = [(o.day[i], o.statement[i]) for i in range(got.statements)]
    if closed is None:
        return
    rows_of.append((closed.outputs.day[0], closed.outputs.statement[0]))
    for (at, values), want in zip(rows_of, [*reference.statements, reference.statement()], strict=True):
        assert at.tolist() == tuple(want[:3])
        for account in (0, 3):  # the only agent has all the weight, so its account is the ensemble's twin
            assert values[account].tolist() == pytest.approx(tuple(want[3:]), rel=1e-9, abs=1e-9)


def test_statements_by_hand() -> None:
    e = ready(ensemble({"delay": 0, "fee_bp": 10.0}))
    day = Trace(e, [0.5, 0.5, 0.0], [100.0, 110.0, 120.0], every=[1, 1, 1])
    # 5 coins bought at 100 (fee 0.5); at 110 500 are 4.545 coins; the rest, 4.545, sold at 120
    fee = 0.5 + 0.455 * 110 * 1e-3 + 4.545 * 120 * 1e-3
    turnover = (500 + 0.455 * 110 + 4.545 * 120) / 1000
    pnl = 0.455 * 10 + 4.545 * 20 - fee
    assert day.round.statements == 0
    assert day.equity[-1] == pytest.approx(1000 + pnl)
    late = Trace(e, [0.0], 120.0, every=[3 * DAY])  # two days without a row write nothing
    assert late.round.statements == 1
    assert late.out.day[0].tolist() == (6, MIDNIGHT + 3 * SECOND + 3, MIDNIGHT // DAY)
    expected = [pnl, 0.0, turnover, fee, 3.0, 0.5 + 4.545 * 0.11, 3.0]
    assert late.statements[0, 0].tolist()[:7] == pytest.approx(tuple(expected))
    assert late.statements["halts"][0, 0] == 0.0
    closed = e.close()
    assert closed is not None
    assert closed.outputs.day["day"][0] == MIDNIGHT // DAY + 3
    assert closed.outputs.statement[0, 0].tolist()[:7] == pytest.approx((*expected[:6], 4.0))


def test_midnight_belongs_to_the_day_that_ends() -> None:
    e = ready(ensemble())
    assert Trace(e, [0.0], ts=[MIDNIGHT + DAY]).round.statements == 0
    assert Trace(e, [0.0], ts=[MIDNIGHT + DAY + 1]).round.statements == 1


def test_a_flagged_row_ends_the_day_too() -> None:
    e = ready(ensemble())
    assert Trace(e, [0.0], ts=[MIDNIGHT + 2 * DAY], flags=HEARTBEAT).round.statements == 1


def test_close_of_nothing_is_none() -> None:
    assert ensemble().close() is None


def test_buy_and_hold_and_equal_weights_meet_the_same_prices() -> None:
    e = ready(ensemble({"fee_bp": 10.0}))
    played = Trace(e, [0.25] * 4, [100.0, 101.0, 102.0, 103.0])
    equities = played.out.equities
    assert np.array_equal(equities[:, 0], equities[:, 1])
    assert np.array_equal(equities[:, 0], equities[:, 3])
    # 10 coins filled at 101 with a fee of 1.01, cut to 9.9 at 102 (1000 / 101) and to 9.803 at 103
    bought, cut = 10 * 101.0, 0.1 * 102.0
    cash = 1000 - bought * 1.001 + cut * 0.999
    assert equities[2, 2] == pytest.approx(cash + 9.9 * 102.0)
