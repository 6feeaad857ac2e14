"""Laws that no market, no agent, no limit and no person may break, read off what the rounds gave."""

import math
from collections import deque
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from windvane.metamodel.base import account
from windvane.metamodel.base.config import Costs, TradingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.rows import BAD, GAP, HEARTBEAT, LEVEL, REPEATED, WARMUP, level_flags
from windvane.metamodel.trading.columns import STATEMENT, Inputs
from windvane.metamodel.trading.control import FLATTEN, HALT, RESTRICT, RESUME
from windvane.metamodel.trading.ensemble import Ensemble, Round
from windvane.metamodel.trading.risk import ACTIVE, HALTED

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
STEPS = 400
MANY = [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)]


class Book(NamedTuple):
    """One adversarial book: its settings, its rows, and what came of them."""

    config: TradingConfig
    rows: dict[str, Any]
    seed: int

    def play(
        self, cuts: tuple[int, ...] = (), reborn: bool = False
    ) -> tuple[list[Round], dict[str, np.ndarray]]:
        """Rounds of the rows cut into calls; reborn: a new object restores the state at every cut."""
        e, got, ends = Ensemble(self.config), [], (0, *cuts, len(self.rows["seq"]))
        for start, end in pairwise(ends):
            if reborn:
                state, e = e.state(), Ensemble(self.config)
                e.restore(state)
            got.append(
                e.step(
                    Inputs.of(**{k: None if v is None else v[start:end].copy() for k, v in self.rows.items()})
                )
            )
        return got, e.state()


def adversary(seed: int, n: int = STEPS) -> Book:
    """Capital, price, limits and events from the ends of what is allowed."""
    rng = np.random.default_rng(seed)

    def pick(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    def maybe(low: float, high: float) -> float | None:
        return float(np.exp(rng.uniform(math.log(low), math.log(high)))) if rng.random() < 0.4 else None

    capital, price = pick(1.0, 1e3, 1e6, 1e9), pick(0.03, 1.0, 1e2, 6e4, 1e7)
    limits = RiskLimits(
        max_spread_bp=maybe(1, 300),
        price_collar=maybe(1e-3, 0.3),
        max_position=pick(1e-3, 0.4, 1.0, 7.0),
        max_notional=maybe(0.01 * capital, 2 * capital),
        max_order_qty=maybe(0.01 * capital / price, 2 * capital / price),
        max_orders=pick(None, 1, 5, 40),
        orders_interval=pick(SECOND, 60 * SECOND, 2 * DAY),
        max_turnover=maybe(0.1, 50),
        daily_loss=maybe(1e-3, 0.5),
        max_drawdown=maybe(1e-3, 0.5),
        var_95=maybe(1e-3, 0.5),
        volatility_target=maybe(0.05, 3),
        kelly_fraction=pick(None, None, 0.1, 1.0),
        confidence_scaling=bool(rng.random() < 0.3),
        flatten_on_halt=bool(rng.random() < 0.6),
        long_only=bool(rng.random() < 0.3),
    )
    costs = Costs(
        fee_bp=pick(0.0, 1.0, 1000.0),
        slippage_bp=pick(0.0, 5.0),
        half_spread_bp=pick(0.0, 20.0),
        delay=pick(0, 1, 2, 9),
        participation=pick(0.0, 0.0, 0.05, 1.0),
    )
    agents = tuple("abc"[: rng.integers(1, 4)])
    halting = pick(
        {"on_halt": "stop"}, {"on_halt": "next-day"}, {"on_halt": "resume-after", "resume_after": 7}
    )
    lot = max(pick(1e-8, 1e-3), 10.0 ** math.floor(math.log10(capital / price * 1e-12)))
    config = TradingConfig(
        agents=agents,
        capital=capital,
        lot=lot,
        min_order=pick(0.0, 1e-3, 0.2),
        costs=costs,
        limits=limits,
        **halting,
    )
    odd = [HEARTBEAT, HEARTBEAT, BAD, GAP, HEARTBEAT | GAP, BAD | GAP, GAP | WARMUP]
    flags = np.where(rng.random(n) < 0.06, rng.choice(odd, n), 0)
    control = np.where(rng.random(n) < 0.02, rng.choice([HALT, RESTRICT, RESUME, RESUME, FLATTEN], n), 0)
    flags[(control == FLATTEN) & (rng.random(n) < 0.6)] = HEARTBEAT
    flags[: rng.integers(0, 6)] = WARMUP
    calm = rng.choice([0.0, 1e-4, 3e-3], n)
    moves = rng.normal(size=n) * calm + np.where(rng.random(n) < 0.02, rng.normal(0, 0.3, n), 0.0)
    mid = np.maximum(price * np.exp(np.cumsum(moves - 0.02 * np.cumsum(moves))), price * 1e-3)
    good = np.flatnonzero((flags & REPEATED) == 0)
    flags[good] |= level_flags(
        mid[good]
    )  # its reader vouches for a jump; tests/streams/test_levels.py has the others
    half = mid * np.exp(rng.uniform(math.log(1e-6), math.log(0.02), n))
    hold = rng.random((n, len(agents))) < 0.3
    target = np.where(hold, rng.choice([-1.0, 0.0, 1.0], hold.shape), rng.uniform(-1, 1, hold.shape))
    gaps = np.where(
        rng.random(n) < 0.03, rng.choice([DAY // 5, DAY, 9 * DAY], n), rng.choice([0, 1, SECOND], n)
    )
    quoted, sized = rng.random() < 0.6, rng.random() < 0.8
    rows = {
        "seq": np.arange(n),
        "ts": 11_600 * DAY + 1 + np.cumsum(gaps),
        "flags": flags,
        "x": rng.normal(size=(n, 50)),
        "mid": np.where(flags & REPEATED, mid * 2.5, mid),  # what a flagged row says must not matter
        "target": target,
        "confidence": rng.uniform(size=target.shape),
        "bid": mid - half if quoted else None,
        "ask": mid + half if quoted else None,
        "size": np.where(rng.random(n) < 0.3, 0.0, rng.exponential(capital / price, n)) if sized else None,
        "control": control,
    }
    return Book(config, rows, seed)


def obeys(book: Book) -> int:
    """Replay the orders and fills of the ensemble's account and check each; gives how many were sent."""
    (got,), state = book.play()
    config, rows, o = book.config, book.rows, got.outputs
    limits, costs, capital, unit = config.limits, config.costs, config.capital, round(1 / config.lot)
    orders = {int(order["row"]): order for order in o.order[: got.orders]}
    assert len(orders) == got.orders  # at most one a row
    filled = deque(o.fill[: got.fills])
    flying: dict[int, tuple[int, int]] = {}  # good row of the fill: seq and lots
    urgent: tuple[int, int] | None = None  # seq and lots of what a heartbeat sent
    sent: list[int] = []
    cash, lots, traded, day, last_mid, good, streak = capital, 0, 0.0, -1, math.nan, 0, 0
    was, ordered, by_person, scale = ACTIVE, False, False, capital

    def fill(t: int, due: tuple[int, int] | None) -> None:
        nonlocal cash, lots, scale
        found = filled[0] if filled and filled[0]["row"] == t else None
        if due is None or found is None or found["order_seq"] != due[0]:
            assert due is None or costs.participation > 0
            return
        filled.popleft()
        qty, price, fee = (float(found[name]) for name in ("qty", "price", "fee"))
        got_lots = round(qty * unit)
        assert 0 < got_lots / due[1] <= 1
        if costs.participation > 0:
            assert abs(qty) <= costs.participation * rows["size"][t] * (1 + 1e-12)
        else:
            assert got_lots == due[1]
        if due is urgent:
            assert 0 <= lots + got_lots < lots or lots < lots + got_lots <= 0
        side = 1 if qty > 0 else -1
        quote = rows["mid"][t] * (1 + side * costs.half_spread_bp * 1e-4)
        if rows["bid"] is not None:
            quote = rows["ask" if side > 0 else "bid"][t]
        assert price == pytest.approx(quote * (1 + side * costs.slippage_bp * 1e-4), rel=1e-12)
        assert fee == pytest.approx(abs(qty) * price * costs.fee_bp * 1e-4, rel=1e-12)
        cash, lots, scale = cash - qty * price - fee, lots + got_lots, max(scale, abs(qty) * price)

    for t in range(len(rows["seq"])):
        where = f"seed {book.seed}, row {t}"
        ts, flag, mid = int(rows["ts"][t]), int(rows["flags"][t]), float(rows["mid"][t])
        control, now = int(rows["control"][t]), int(o.state[t])
        if (ts - 1) // DAY > day:
            day, traded = (ts - 1) // DAY, 0.0
        by_person = control == FLATTEN or (by_person and control != RESUME)
        if flag & REPEATED:
            leaves = by_person and flag & REPEATED == HEARTBEAT
            assert leaves or t not in orders, where
            assert leaves or o.verdict[t] == 0, where
            mid = last_mid
            streak = 0 if flag & GAP else streak
        else:
            streak += 1
            fill(t, flying.pop(good, None))
            fill(t, urgent)
            urgent = None
        if now == HALTED and (was != HALTED or control == RESUME):
            ordered = control not in (HALT, FLATTEN) and limits.flatten_on_halt
        ordered = now == HALTED and (ordered or control == FLATTEN)
        if t in orders:
            qty, held = float(orders[t]["qty"]), lots + sum(order for _, order in flying.values())
            held += urgent[1] if urgent else 0
            order = round(qty * unit)
            after = held + order
            less = 0 <= after < held or held < after <= 0
            value = abs(order) / unit * mid
            assert order != 0, where
            assert flag & ~(LEVEL | HEARTBEAT) == 0, where
            assert qty * unit == pytest.approx(order, rel=1e-15, abs=1e-3), where
            assert orders[t]["target_after"] == pytest.approx(after / unit * mid / capital, rel=1e-9), where
            assert orders[t]["reduce_only"] == less, where
            assert abs(math.log(mid / last_mid)) <= (limits.price_collar or math.inf), where
            assert abs(qty) <= (limits.max_order_qty or math.inf) * (1 + 1e-12), where
            largest = math.floor((limits.max_order_qty or 0.0) * unit + 1e-9)
            sliced = less and abs(order) == largest  # a reduction in slices may be smaller
            assert after == 0 or sliced or value >= config.min_order * capital * (1 - 1e-12), where
            assert costs.participation == 0 or not flying, where
            assert urgent is None, where
            assert not limits.long_only or after >= 0, where
            recent = sum(at > ts - limits.orders_interval for at in sent)
            traded += value
            if now == HALTED:
                assert less, where
                assert ordered, where
                assert orders[t]["reason"] == account.FLATTEN, where
            if not less:
                assert now == ACTIVE, where
                assert streak > 3, where
                spread = 2 * costs.half_spread_bp * 1e-4
                if rows["bid"] is not None:
                    spread = (rows["ask"][t] - rows["bid"][t]) / mid
                assert spread <= (limits.max_spread_bp or math.inf) * 1e-4, where
                assert abs(after) / unit * mid <= limits.max_position * capital * (1 + 1e-12), where
                assert abs(after) / unit * mid <= (limits.max_notional or math.inf) * (1 + 1e-12), where
                assert recent < (limits.max_orders or math.inf), where
                assert traded <= (limits.max_turnover or math.inf) * capital * (1 + 1e-12), where
            sent.append(ts)
            this = int(rows["seq"][t]), order
            if flag & HEARTBEAT:
                assert less, where
                urgent = this
            elif costs.delay == 0:
                fill(t, this)
            else:
                flying[good + costs.delay] = this
        assert not limits.long_only or lots >= 0, where
        assert not filled or filled[0]["row"] > t, where
        if not flag & REPEATED:
            good, last_mid = good + 1, mid
            assert o.equity[t] == pytest.approx(cash + lots / unit * mid, rel=1e-6, abs=1e-9 * scale), where
        was = now
    assert state["account.lots"][0] == lots
    assert state["account.urgent"][0] == (urgent[1] if urgent else 0)
    flown = sum(order for _, order in flying.values()) + state["account.urgent"][0]
    assert state["account.flying"][0] == flown
    assert not limits.long_only or (state["account.lots"] >= 0).all()
    assert state["account.cash"][0] == pytest.approx(cash, rel=1e-6, abs=1e-9 * scale)
    balance(book, got, state, last_mid, unit)
    return got.orders


def balance(book: Book, got: Round, state: dict[str, np.ndarray], mid: float, unit: int) -> None:
    """Every account: cash and position are its equity, and the statements are cuts of its equity."""
    o, n, capital = got.outputs, len(book.rows["seq"]), book.config.capital
    worth = state["account.cash"] + state["account.lots"] / unit * mid
    assert np.array_equal(o.equities[-1], state["account.equity"])
    assert o.equities[-1] == pytest.approx(worth, rel=1e-12)
    assert np.array_equal(o.equities[:, 0], o.equity)
    if len(book.config.agents) == 1:
        assert np.array_equal(o.equities[:, 0], o.equities[:, 3])
    days = (book.rows["ts"] - 1) // DAY
    ends = np.flatnonzero(np.diff(days))
    assert o.day["seq"][: got.statements].tolist() == ends.tolist()
    assert o.day["day"][: got.statements].tolist() == days[ends].tolist()
    assert np.array_equal(o.statement["pnl"][: got.statements], o.equities[ends] - capital)
    if book.config.costs.delay > 0 and n:
        pnl = o.equities - capital
        fall = (np.maximum.accumulate(np.maximum(pnl, 0.0)) - pnl).max(axis=0) / capital
        assert state["account.drawdown"] == pytest.approx(fall, rel=1e-9, abs=1e-12)
    assert (state["account.fees"] >= 0).all()
    for sum_so_far in STATEMENT[2:7]:
        assert (np.diff(o.statement[sum_so_far][: got.statements], axis=0) >= 0).all(), sum_so_far


@pytest.mark.parametrize("steps", MANY)
def test_no_order_passes_a_limit_and_accounts_balance(steps: int) -> None:
    sent = sum(obeys(adversary(seed)) for seed in range(steps // STEPS))
    assert sent > steps / 40


def columns(got: list[Round], starts: tuple[int, ...]) -> dict[str, bytes]:
    """All that the rounds gave, one call after the other, without the room that a call did not use."""
    used = {"order": "orders", "fill": "fills", "day": "statements", "statement": "statements"}
    parts: dict[str, list[np.ndarray]] = {}
    for r, start in zip(got, starts, strict=True):
        for name, values in r.outputs._asdict().items():
            part = values.copy() if name not in used else values[: getattr(r, used[name])].copy()
            if name in ("order", "fill"):
                part["row"] += start
            parts.setdefault(name, []).append(part)
    del parts["counts"]
    return {name: np.concatenate(part).tobytes() for name, part in parts.items()}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("reborn", [False, True])
def test_same_bytes_for_any_cut(seed: int, reborn: bool) -> None:
    book = adversary(seed)
    whole, end = book.play()
    every = range(1, STEPS)
    chosen = np.sort(np.random.default_rng(seed).choice(every, 9, replace=False)).tolist()
    for cuts in ((1,), tuple(every), tuple(chosen)):
        got, state = book.play(cuts, reborn)
        assert columns(got, (0, *cuts)) == columns(whole, (0,))
        assert state.keys() == end.keys()
        for name, value in end.items():
            assert state[name].tobytes() == value.tobytes(), name


def test_a_state_of_another_shape_is_refused() -> None:
    one, two = adversary(0), adversary(1)
    assert len(one.config.agents) != len(two.config.agents)
    with pytest.raises(ValueError, match="has shape"):
        Ensemble(one.config).restore(two.play()[1])
