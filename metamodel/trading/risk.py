"""Risk gates that cannot be passed: every wanted target goes through all of them, in order, each with a verdict.

Gates reject: what is left is a reduction. Sizes shrink. A reduction passes every gate except an invalid price; the
largest order cuts it into slices, and the least order stops one that neither closes nor is such a slice. All positions
are integers, in lots, so that nothing slips through a rounding.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined
from windvane.metamodel.base.limits import RiskLimits

GATES: tuple[str, ...] = (
    *("state", "data", "spread", "collar", "position", "notional", "order_qty", "order_rate", "turnover"),
    *("daily_loss", "drawdown", "var", "volatility", "kelly", "confidence", "min_order", "in_flight"),
    "no_agents",
)
"""Names of the verdict bits, in the order of checking, but for the last: it came later, and bits keep their meaning."""

(
    _STATE,
    _DATA,
    _SPREAD,
    COLLAR,
    _POSITION,
    _NOTIONAL,
    _ORDER_QTY,
    _ORDER_RATE,
    _TURNOVER,
    _DAILY_LOSS,
    _DRAWDOWN,
    _VAR,
    _VOLATILITY,
    _KELLY,
    _CONFIDENCE,
    _MIN_ORDER,
    IN_FLIGHT,
    _NO_AGENTS,
) = (1 << k for k in range(len(GATES)))

ACTIVE, REDUCE_ONLY, HALTED = 0, 1, 2
BY_LIMIT, BY_PERSON = 1, 2
CUT_BY_PERSON, CUT_BY_LEVEL = 1, 2
"""Why an account only reduces: a person said so, or the price was on a level that nobody vouches for."""

Z_95 = 1.6448536269514722
"""95 % quantile of the normal distribution: value at risk is parametric, as in RiskMetrics 1996."""


class Gates(NamedTuple):
    """RiskLimits as the kernel reads them: what is off is inf."""

    spread: float  # share of mid
    collar: float
    position: float
    notional: float
    order_qty: float  # lots
    orders: float
    orders_interval: int
    turnover: float  # currency
    daily_loss: float  # currency
    drawdown: float  # currency
    var: float
    volatility: float
    kelly: float
    confidence: bool
    flatten: bool
    min_order: float  # currency
    capital: float
    lot: float


def new_gates(limits: RiskLimits, capital: float, lot: float, min_order: float) -> Gates:
    """Limits in the units of the kernel."""

    def on(value: float | None, unit: float = 1.0) -> float:
        return math.inf if value is None else value * unit

    return Gates(
        spread=on(limits.max_spread_bp, 1e-4),
        collar=on(limits.price_collar),
        position=on(limits.max_position),
        notional=on(limits.max_notional),
        order_qty=on(limits.max_order_qty, 1.0 / lot),
        orders=on(limits.max_orders),
        orders_interval=limits.orders_interval,
        turnover=on(limits.max_turnover, capital),
        daily_loss=on(limits.daily_loss, capital),
        drawdown=on(limits.max_drawdown, capital),
        var=on(limits.var_95),
        volatility=on(limits.volatility_target),
        kelly=on(limits.kelly_fraction),
        confidence=limits.confidence_scaling,
        flatten=limits.flatten_on_halt,
        min_order=min_order * capital,
        capital=capital,
        lot=lot,
    )


class Standing(NamedTuple):
    """What the gates know of the accounts; K accounts."""

    state: Ints  # (K,) ACTIVE, REDUCE_ONLY or HALTED
    halted_by: Ints  # (K,) 0, BY_LIMIT or BY_PERSON
    halted_at: Ints  # (K,) good row of the halt
    cut: Ints  # (K,) 0, or why the account only reduces, through any halt
    flatten: Ints  # (K,) 1 while an ordered flatten is not done
    halts: Ints  # (K,) times halted
    sent: Ints  # (K, Q) ring of the times of the last orders, ns
    sent_at: Ints  # (K,) orders sent so far
    day_turnover: Floats  # (K,) currency, of orders sent this UTC day
    day_start: Floats  # (K,) pnl when the UTC day began
    peak: Floats  # (K,) highest pnl since the start or the last resumption
    edge: Floats  # (K, 2) EWMAs (half-life 4000) of what wanted targets earned, and of its square


def new_standing(accounts: int, limits: RiskLimits) -> Standing:
    """All accounts active."""
    ring = int(limits.max_orders) if limits.max_orders is not None else 1
    return Standing(
        state=np.zeros(accounts, np.int64),
        halted_by=np.zeros(accounts, np.int64),
        halted_at=np.zeros(accounts, np.int64),
        cut=np.zeros(accounts, np.int64),
        flatten=np.zeros(accounts, np.int64),
        halts=np.zeros(accounts, np.int64),
        sent=np.full((accounts, max(ring, 1)), np.iinfo(np.int64).min),
        sent_at=np.zeros(accounts, np.int64),
        day_turnover=np.zeros(accounts),
        day_start=np.zeros(accounts),
        peak=np.zeros(accounts),
        edge=np.zeros((accounts, 2)),
    )


class View(NamedTuple):
    """What a round knows of the market when it checks an order."""

    ts: int  # ns
    good: int  # good rows so far
    mid: float
    priced: bool  # within the collar of the good row before
    spread: float  # ask - bid over mid
    healthy: bool  # neither stale nor just back from a hole
    s: float  # volatility a row
    rows_a_day: float


@inlined
def _between(want: int, held: int) -> int:
    """What of a wanted position only reduces the one held."""
    return min(max(want, min(0, held)), max(0, held))


@inlined
def _halt(st: Standing, k: int, good: int, flatten: bool) -> None:
    st.state[k] = HALTED
    st.halted_by[k] = BY_LIMIT
    st.halted_at[k] = good
    st.halts[k] += 1
    st.flatten[k] = 1 if flatten else 0


@inlined
def _lots(amount: float) -> int:
    """Whole lots, toward zero; what would not fit an int64 is cut."""
    return int(min(max(amount, -4e18), 4e18))


@inlined
def check(
    g: Gates,
    st: Standing,
    k: int,
    view: View,
    wanted: float,
    confidence: float,
    held: int,
    pnl: float,
    hold: bool,
) -> tuple[int, int]:
    """The position in lots that account k may go for, and the verdicts (bits of GATES).

    wanted: target in units of capital; held: position and all in flight, lots; pnl: currency; hold: nobody whom the
    account follows is awake, `wanted` is what it holds.
    """
    verdict = _NO_AGENTS if hold else 0
    unit = g.capital / view.mid / g.lot
    want = held if hold else _lots(wanted * unit)

    if st.state[k] == HALTED:
        allowed = 0 if st.flatten[k] else held
        verdict |= _STATE if allowed != want else 0
        want = allowed
    elif st.state[k] == REDUCE_ONLY and _between(want, held) != want:
        verdict |= _STATE
        want = _between(want, held)
    if not view.healthy and _between(want, held) != want:
        verdict |= _DATA
        want = _between(want, held)
    if view.spread > g.spread and _between(want, held) != want:
        verdict |= _SPREAD
        want = _between(want, held)
    if not view.priced and want != held:
        verdict |= COLLAR
    if st.state[k] != HALTED:
        limit = _lots(g.position * unit)
        if abs(want) > limit:
            verdict |= _POSITION
            want = min(max(want, -limit), limit)
        limit = _lots(g.notional / view.mid / g.lot)
        if abs(want) > limit:
            verdict |= _NOTIONAL
            want = min(max(want, -limit), limit)
    largest = _lots(g.order_qty + 1e-9)
    if abs(want - held) > largest:
        verdict |= _ORDER_QTY
        want = held + min(max(want - held, -largest), largest)
    ring = st.sent.shape[1]
    if (
        st.sent_at[k] >= ring
        and g.orders < math.inf
        and st.sent[k, st.sent_at[k] % ring] > view.ts - g.orders_interval
        and _between(want, held) != want
    ):
        verdict |= _ORDER_RATE
        want = _between(want, held)
    reduced = _between(want, held)
    if want != reduced and g.turnover < math.inf:
        price = view.mid * g.lot
        room = g.turnover - st.day_turnover[k] - abs(reduced - held) * price
        most = _lots(max(room, 0.0) / price)
        if abs(want - reduced) > most:
            verdict |= _TURNOVER
            want = reduced + min(max(want - reduced, -most), most)
    if st.state[k] != HALTED:
        if view.priced and st.day_start[k] - pnl >= g.daily_loss:
            verdict |= _DAILY_LOSS
        if view.priced and st.peak[k] - pnl >= g.drawdown:
            verdict |= _DRAWDOWN
        if verdict & (_DAILY_LOSS | _DRAWDOWN):
            _halt(st, k, view.good, g.flatten)
            want = 0 if g.flatten else held
        else:
            size, verdict = _sizes(g, st, k, view, wanted, confidence, verdict, hold)
            if not hold or size < abs(wanted):  # what is held is whole lots already
                limit = _lots(size * unit)
                want = min(max(want, -limit), limit)
    if abs(want - held) > largest:  # a later size may have asked for a larger reduction than one order may be
        verdict |= _ORDER_QTY
        want = held + min(max(want - held, -largest), largest)
    slice_of_reduction = abs(want - held) == largest and _between(want, held) == want
    small = abs(want - held) * view.mid * g.lot < g.min_order
    if small and want != 0 and want != held and not slice_of_reduction:
        verdict |= _MIN_ORDER
        want = held
    if not view.priced and want != held:
        verdict |= COLLAR
        want = held
    return want, verdict


@inlined
def _sizes(
    g: Gates, st: Standing, k: int, view: View, wanted: float, confidence: float, verdict: int, hold: bool
) -> tuple[float, int]:
    """The |target| that value at risk, volatility, Kelly and confidence leave of what the caps before them did.

    What is held was scaled when it was wanted: scaled again at every row it would melt away.
    """
    size = min(abs(wanted), g.position, g.notional / g.capital)
    day = view.s * math.sqrt(view.rows_a_day)
    if Z_95 * day * size > g.var:
        verdict |= _VAR
        size = g.var / (Z_95 * day)
    if hold:
        return size, verdict
    year = day * math.sqrt(365.0)
    if year > g.volatility:
        verdict |= _VOLATILITY if size > 0.0 else 0
        size *= g.volatility / year
    if g.kelly < math.inf:
        mean, square = st.edge[k, 0], st.edge[k, 1]
        bet = g.kelly * mean / square if square > 0.0 else 1.0
        if bet < 1.0:
            verdict |= _KELLY if size > 0.0 else 0
            size *= max(bet, 0.0)
    if g.confidence and confidence < 1.0:
        verdict |= _CONFIDENCE if size > 0.0 else 0
        size *= max(confidence, 0.0)
    return size, verdict
