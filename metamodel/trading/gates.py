"""Risk gates that cannot be passed: every wanted target goes through all of them, in the order of `check`.

Some gates reject, and what remains is a reduction; others shrink the size. A reduction passes every gate except an
invalid price: the largest order cuts it into slices, and the least order stops one that neither closes the position nor
is such a slice. All positions are whole lots, so that nothing slips through a rounding.

A gate is handed the wanted position in lots, or the size in units of capital, and the verdict so far. It returns what
it leaves of the one, and the other with its own bit where it acted.
"""

import math

from windvane.agents.kernel import inlined
from windvane.metamodel.base.account import MOST_LOTS
from windvane.metamodel.trading.risk import (
    BY_LIMIT,
    HALTED,
    REDUCE_ONLY,
    Ask,
    Gate,
    Limits,
    Standing,
    View,
)

MOST_TRUST = 3.0
"""Most that a target is enlarged by confidence: beside a mean of nearly nothing, anything would be much."""

_TRUST = 1.0 - 0.5 ** (1.0 / 4000.0)

Z_95 = 1.6448536269514722
"""95 % quantile of the normal distribution: value at risk is parametric, as in RiskMetrics 1996."""


@inlined
def lots_of(amount: float) -> int:
    """Whole lots, toward zero; an amount that does not fit an int64 is cut."""
    return int(min(max(amount, -MOST_LOTS), MOST_LOTS))


@inlined
def reduction(want: int, exposure: int) -> int:
    """The part of a wanted position that only reduces the exposure."""
    return min(max(want, min(0, exposure)), max(0, exposure))


@inlined
def near(want: int, centre: int, most: int) -> int:
    """The position nearest to the wanted one that is at most `most` lots from `centre`."""
    return centre + min(max(want - centre, -most), most)


@inlined
def _answer(allowed: int, want: int, verdict: int, gate: Gate) -> tuple[int, int]:
    """What a gate allows, and the verdict with the gate's bit where that is not what was wanted."""
    return allowed, verdict | gate if allowed != want else verdict


@inlined
def by_confidence(st: Standing, target: float, confidence: float) -> float:
    """A target times max(0, 2p - 1), where p is the confidence in it, over the mean of that in the targets so far.

    So it is as large as it was on average, larger where more is expected of it, and 0 where it is not likelier than not
    to pay. A larger target passes every gate that follows.
    """
    if target == 0.0:
        return 0.0
    surplus = max(2.0 * confidence - 1.0, 0.0)
    st.trusted += 1
    st.trust += max(_TRUST, 1.0 / st.trusted) * (surplus - st.trust)
    return target * min(surplus / st.trust, MOST_TRUST) if surplus > 0.0 else 0.0


@inlined
def check(limits: Limits, st: Standing, view: View, ask: Ask) -> tuple[int, int]:
    """The position in lots that an account may go for, and the verdict: the bits of the gates that acted."""
    want, verdict = gate_no_agents(view, ask)
    want, verdict = gate_state(st, ask, want, verdict)
    want, verdict = gate_data(view, ask, want, verdict)
    want, verdict = gate_spread(limits, view, ask, want, verdict)
    verdict = note_collar(view, ask, want, verdict)
    want, verdict = gate_long_only(limits, st, want, verdict)
    want, verdict = gate_position(limits, st, view, want, verdict)
    want, verdict = gate_notional(limits, st, view, want, verdict)
    want, verdict = gate_order_qty(limits, ask, want, verdict)
    want, verdict = gate_order_rate(limits, view, ask, want, verdict)
    want, verdict = gate_turnover(limits, st, view, ask, want, verdict)
    verdict = gate_daily_loss(limits, st, view, ask, verdict)
    verdict = gate_drawdown(limits, st, view, ask, verdict)
    if verdict & (Gate.DAILY_LOSS | Gate.DRAWDOWN):
        want = halt(limits, st, view, ask)
    elif st.state != HALTED:
        want, verdict = gate_sizes(limits, st, view, ask, want, verdict)
    want, verdict = gate_order_qty(limits, ask, want, verdict)  # a smaller size may be a larger reduction
    want, verdict = gate_min_order(limits, view, ask, want, verdict)
    want, verdict = gate_collar(view, ask, want, verdict)
    return gate_in_flight(ask, want, verdict)


@inlined
def gate_no_agents(view: View, ask: Ask) -> tuple[int, int]:
    """Begin with the wanted target in whole lots, or with the exposure where there is no agent to follow."""
    if ask.idle:
        return ask.exposure, 0 | Gate.NO_AGENTS
    return lots_of(ask.target * view.unit), 0 | Gate.CONFIDENCE if ask.scaled else 0


@inlined
def gate_state(st: Standing, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Let a halted account hold, or close where that was ordered, and a reduce-only one reduce."""
    allowed = want
    if st.state == HALTED:
        allowed = 0 if st.flattening else ask.exposure
    elif st.state == REDUCE_ONLY:
        allowed = reduction(want, ask.exposure)
    return _answer(allowed, want, verdict, Gate.STATE)


@inlined
def gate_data(view: View, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Only reduce while the data are not healthy."""
    allowed = want if view.healthy else reduction(want, ask.exposure)
    return _answer(allowed, want, verdict, Gate.DATA)


@inlined
def gate_spread(limits: Limits, view: View, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Only reduce while the spread is too wide."""
    allowed = reduction(want, ask.exposure) if view.spread > limits.spread else want
    return _answer(allowed, want, verdict, Gate.SPREAD)


@inlined
def note_collar(view: View, ask: Ask, want: int, verdict: int) -> int:
    """Note that an order is wanted outside the collar, also where a later gate leaves nothing of it to refuse."""
    return verdict | Gate.COLLAR if not view.priced and want != ask.exposure else verdict


@inlined
def gate_collar(view: View, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Send no order outside the collar, not even a reduction."""
    return _answer(want if view.priced else ask.exposure, want, verdict, Gate.COLLAR)


@inlined
def gate_long_only(limits: Limits, st: Standing, want: int, verdict: int) -> tuple[int, int]:
    """Want no position below 0; a halted account increases nothing, and is left as it is."""
    if not limits.long_only or st.state == HALTED:
        return want, verdict
    return _answer(max(want, 0), want, verdict, Gate.LONG_ONLY)


@inlined
def gate_position(limits: Limits, st: Standing, view: View, want: int, verdict: int) -> tuple[int, int]:
    """Cap the position in units of capital; a halted account increases nothing, and is left as it is."""
    if st.state == HALTED:
        return want, verdict
    return _answer(near(want, 0, lots_of(limits.position * view.unit)), want, verdict, Gate.POSITION)


@inlined
def gate_notional(limits: Limits, st: Standing, view: View, want: int, verdict: int) -> tuple[int, int]:
    """Cap the position in currency; a halted account increases nothing, and is left as it is."""
    if st.state == HALTED:
        return want, verdict
    most = lots_of(limits.notional / view.mid / limits.lot)
    return _answer(near(want, 0, most), want, verdict, Gate.NOTIONAL)


@inlined
def _largest_order(limits: Limits) -> int:
    """Lots of the largest order; a product that rounding left just below a whole number is that number."""
    return lots_of(limits.order_qty + 1e-9)


@inlined
def gate_order_qty(limits: Limits, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Cut the order to the largest that is allowed."""
    return _answer(near(want, ask.exposure, _largest_order(limits)), want, verdict, Gate.ORDER_QTY)


@inlined
def gate_order_rate(limits: Limits, view: View, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Only reduce while the oldest of the last `max_orders` orders lies within the interval."""
    full = limits.orders < math.inf and ask.oldest > view.ts - limits.orders_interval
    allowed = reduction(want, ask.exposure) if full else want
    return _answer(allowed, want, verdict, Gate.ORDER_RATE)


@inlined
def gate_turnover(
    limits: Limits, st: Standing, view: View, ask: Ask, want: int, verdict: int
) -> tuple[int, int]:
    """Cut what increases the position to what the day's turnover leaves after the part that reduces it."""
    reduced = reduction(want, ask.exposure)
    if want == reduced or limits.turnover == math.inf:
        return want, verdict
    price = view.mid * limits.lot
    room = limits.turnover - st.day_turnover - abs(reduced - ask.exposure) * price
    return _answer(near(want, reduced, lots_of(max(room, 0.0) / price)), want, verdict, Gate.TURNOVER)


@inlined
def gate_daily_loss(limits: Limits, st: Standing, view: View, ask: Ask, verdict: int) -> int:
    """Whether the day lost too much; a price outside the collar proves nothing, and who is halted loses no more."""
    judged = view.priced and st.state != HALTED
    lost = st.day_start - ask.pnl >= limits.daily_loss
    return verdict | Gate.DAILY_LOSS if judged and lost else verdict


@inlined
def gate_drawdown(limits: Limits, st: Standing, view: View, ask: Ask, verdict: int) -> int:
    """Whether the account fell too far from its peak; judged where `gate_daily_loss` judges."""
    judged = view.priced and st.state != HALTED
    lost = st.peak - ask.pnl >= limits.drawdown
    return verdict | Gate.DRAWDOWN if judged and lost else verdict


@inlined
def halt(limits: Limits, st: Standing, view: View, ask: Ask) -> int:
    """Halt an account at a limit; returns the position to go for: none where a halt closes it, else the exposure."""
    st.state, st.halted_by, st.halted_at = HALTED, BY_LIMIT, view.good
    st.halts += 1
    st.flattening = BY_LIMIT if limits.flatten else 0
    return 0 if limits.flatten else ask.exposure


@inlined
def gate_sizes(
    limits: Limits, st: Standing, view: View, ask: Ask, want: int, verdict: int
) -> tuple[int, int]:
    """Cut the position to the size that value at risk, volatility and Kelly leave of the wanted one.

    An idle account's exposure was scaled when it was wanted: scaled again at every row it would melt away.
    """
    wished = max(ask.target, 0.0) if limits.long_only else abs(ask.target)
    size = min(wished, limits.position, limits.notional / limits.capital)
    size, verdict = gate_var(limits, view, size, verdict)
    if not ask.idle:
        size, verdict = gate_volatility(limits, view, size, verdict)
        size, verdict = gate_kelly(limits, st, size, verdict)
    if not ask.idle or size < abs(ask.target):  # an exposure is whole lots already
        want = near(want, 0, lots_of(size * view.unit))
    return want, verdict


@inlined
def _day_volatility(view: View) -> float:
    """Volatility of the price over a day."""
    return view.s * math.sqrt(view.rows_a_day)


@inlined
def gate_var(limits: Limits, view: View, size: float, verdict: int) -> tuple[float, int]:
    """Cut a size, in units of capital, to the one-day 95 % value at risk that is allowed."""
    day = _day_volatility(view)
    if Z_95 * day * size > limits.var:
        return limits.var / (Z_95 * day), verdict | Gate.VAR
    return size, verdict


@inlined
def gate_volatility(limits: Limits, view: View, size: float, verdict: int) -> tuple[float, int]:
    """Scale a size by the target over the volatility of a year, where that is above the target."""
    year = _day_volatility(view) * math.sqrt(365.0)
    return _scaled(limits.volatility / year, year > limits.volatility, size, verdict, Gate.VOLATILITY)


@inlined
def gate_kelly(limits: Limits, st: Standing, size: float, verdict: int) -> tuple[float, int]:
    """Scale a size by the fraction of the Kelly bet, mean over square of what the account's targets earned."""
    if limits.kelly == math.inf:
        return size, verdict
    mean, square = st.edge_mean, st.edge_square
    bet = limits.kelly * mean / square if square > 0.0 else 1.0
    return _scaled(max(bet, 0.0), bet < 1.0, size, verdict, Gate.KELLY)


@inlined
def _scaled(factor: float, acts: bool, size: float, verdict: int, gate: Gate) -> tuple[float, int]:
    """A size times a factor where a gate acts, and the verdict with the gate's bit where there was a size."""
    if not acts:
        return size, verdict
    return size * factor, verdict | gate if size > 0.0 else verdict


@inlined
def gate_min_order(limits: Limits, view: View, ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Send no order below the least, unless it closes the position or is a slice of a larger reduction."""
    order = abs(want - ask.exposure)
    is_slice = order == _largest_order(limits) and reduction(want, ask.exposure) == want
    if order * view.mid * limits.lot < limits.min_order and want != 0 and not is_slice:
        return _answer(ask.exposure, want, verdict, Gate.MIN_ORDER)
    return want, verdict


@inlined
def gate_in_flight(ask: Ask, want: int, verdict: int) -> tuple[int, int]:
    """Send no order while another works."""
    return _answer(ask.exposure if ask.working else want, want, verdict, Gate.IN_FLIGHT)
