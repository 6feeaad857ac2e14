"""The steps of a round, which `ensemble` takes in their order: controls, settle, decide, emit.

The ensemble's account is number 0. The baselines are further accounts, which meet the same prices, costs, delay and
gates. Each step is inlined into the kernel of `ensemble`. What is handed from step to step for every account are
records and numbers, because a tuple of arrays counts a reference for each of them, inlined or not.
"""

import math

from windvane.agents.confidence import agreed
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import account, rows
from windvane.metamodel.base.records import Records
from windvane.metamodel.base.times import DAY
from windvane.metamodel.learning import scores
from windvane.metamodel.learning.state import Learner
from windvane.metamodel.trading import belief, control, gates, orders, risk, urgent
from windvane.metamodel.trading.columns import (
    BASELINES,
    BUY_AND_HOLD,
    ENSEMBLE,
    Book,
    Clock,
    Inputs,
    Outputs,
    Row,
    Settings,
    Wishes,
)

_EDGE = 1.0 - 0.5 ** (1.0 / 4000.0)
_SPACING = 0.01

HEALTHY_AFTER = 3
"""Good rows after a hole until the book is healthy again."""


@inlined
def row_of(inputs: Inputs, t: int, good: int, awake: int) -> Row:
    """Row t of the inputs."""
    quoted = inputs.bid.size > 0
    return Row(
        t=t,
        seq=inputs.seq[t],
        ts=inputs.ts[t],
        flag=inputs.flags[t],
        warm=inputs.flags[t] & rows.WARMUP == 0,
        awake=awake,
        good=good,
        mid=inputs.mid[t],
        bid=inputs.bid[t] if quoted else math.nan,
        ask=inputs.ask[t] if quoted else math.nan,
        size=inputs.size[t] if inputs.size.size > 0 else 0.0,
    )


@inlined
def controls(book: Book, settings: Settings, code: int, row: Row, out: Outputs) -> None:
    """End the UTC day that the row leaves behind, then carry out the control that rules from the row on."""
    clock, terms = book.clock[0], settings.terms
    day = (row.ts - 1) // DAY
    if clock.day_rows > 0 and day > clock.day:
        write_statement(book, terms, out)
        clock.day_rows = 0
        control.new_day(book.standing, book.account, terms, settings.resumption.halt == 0)
        if settings.resumption.level == 0 and clock.rows_away > 0:
            belief.lift(clock, book.standing)
    if clock.day_rows == 0:
        clock.day = day
    if row.flag & rows.REPEATED == 0 or row.good > 0:  # bad rows before the first good one have no day
        clock.day_rows += 1
    clock.seq, clock.ts = row.seq, row.ts
    if code > 0:
        control.apply(book.standing, book.account, terms, code)
        if code == control.RESUME:
            belief.lift(clock, book.standing)


@inlined
def believed(standings: Records, clock: Clock, market: scores.Moments, resume_after: int, row: Row) -> int:
    """Whether the row is good and its mid believed: one of the answers of `belief.believe`."""
    if row.flag & rows.REPEATED != 0:
        return belief.NOT_BELIEVED
    if belief.at_home(clock, row.mid):
        return belief.BELIEVED
    return belief.believe(clock, market, standings, resume_after, row.mid, row.flag)


@inlined
def settle(book: Book, settings: Settings, row: Row, priced: bool, confirmed: bool, out: Outputs) -> None:
    """Fill what is due and mark all accounts; end halts whose time is over.

    priced: the mid is within the collar; confirmed: it begins a level that was confirmed just now.
    """
    wait, at = settings.resumption.halt, row.good % book.pending.shape[1]
    for k in range(book.account.shape[0]):
        a, st = book.account[k], book.standing[k]
        if book.pending[k, at] != 0:
            orders.fill(book, settings.terms, row, k, out)
        if a.urgent != 0:  # after what was ordered before it
            urgent.fill(book, settings.terms, row, k, out)
        pnl = account.mark(a, settings.terms, row.mid)
        if confirmed and st.state != risk.HALTED:
            control.resume(
                st, pnl
            )  # what the account is worth on the new level is no loss or gain of the day
        if priced:  # a price that no order may be sent at is no peak to fall from
            st.peak = max(st.peak, pnl)
        if wait > 0 and st.halted_by == risk.BY_LIMIT and row.good - st.halted_at >= wait:
            control.resume(st, pnl)


@inlined
def count(clock: Clock, row: Row) -> None:
    """Count a row that was learned from."""
    if row.good > 0:
        clock.spacing += max(_SPACING, 1.0 / row.good) * (row.ts - clock.good_ts - clock.spacing)
    clock.good_rows += 1
    clock.good_ts = row.ts
    clock.streak += 1
    clock.warm_rows += 1 if row.warm else 0
    clock.mid = row.mid


@inlined
def view_of(clock: Clock, settings: Settings, row: Row, variance: float, priced: bool) -> risk.View:
    """What the gates know of the market at a row that was learned from; variance: of the return of a row."""
    limits, half = settings.limits, settings.terms.half_spread
    return risk.View(
        ts=row.ts,
        good=row.good,
        mid=row.mid,
        priced=priced,
        spread=2.0 * half if math.isnan(row.bid) else (row.ask - row.bid) / row.mid,
        healthy=clock.streak > HEALTHY_AFTER,
        s=math.sqrt(max(variance, 1e-12)),
        rows_a_day=DAY / max(clock.spacing, 1.0),
        unit=limits.capital / row.mid / limits.lot,
    )


@inlined
def decide(
    book: Book, settings: Settings, wishes: Wishes, row: Row, view: risk.View, earned: float, out: Outputs
) -> None:
    """Send every account's wanted target through the gates, and order what they leave of it.

    earned: return of the mid since the believed row before, 0 where the row begins another level.
    """
    terms, ring = settings.terms, book.aims.shape[0]
    for k in range(book.account.shape[0]):
        a, st = book.account[k], book.standing[k]
        target, confidence, idle = _wish(wishes, row.awake, k)
        scaled = False
        if idle:
            target = orders.exposure_of(a, terms, row.mid)
        elif settings.limits.confidence:
            wanted = target
            target = gates.by_confidence(st, wanted, confidence)
            scaled = target != wanted and st.state != risk.HALTED
        edge = book.aims[(row.good - 1 - terms.delay) % ring, k] * earned
        st.edge_mean += _EDGE * (edge - st.edge_mean)
        st.edge_square += _EDGE * (edge * edge - st.edge_square)
        book.aims[row.good % ring, k] = target
        if st.flattening and a.lots == 0 and a.flying == 0:
            st.flattening = 0
        ask = risk.Ask(
            target=target,
            scaled=scaled,
            idle=idle,
            exposure=a.lots + a.flying,
            pnl=a.equity - terms.capital,
            working=terms.participation > 0.0 and a.flying != 0,
            oldest=book.sent[k, st.sent_at % book.sent.shape[1]],
        )
        flattened = _flattens(st)
        allowed, verdict = gates.check(settings.limits, st, view, ask)
        if allowed != ask.exposure:
            orders.place(book, terms, row, k, allowed - ask.exposure)
            if k == ENSEMBLE:
                by_order = flattened or _flattens(st)
                orders.write_order(terms, row.t, row.mid, ask.exposure, allowed, by_order, out)
        if k == ENSEMBLE:
            out.verdict[row.t] = verdict
            book.clock[0].target = orders.exposure_of(a, terms, row.mid)
        if terms.delay == 0:
            orders.fill(book, terms, row, k, out)
            account.mark(a, terms, row.mid)
        a.exposed += abs(a.lots / terms.per_unit * row.mid) / terms.capital


@inlined
def _wish(wishes: Wishes, awake: int, k: int) -> tuple[float, float, bool]:
    """Target and confidence of account k, and whether it is idle, since nobody whom it follows is awake.

    awake: agents that are. An idle account keeps its exposure, whatever the target says.
    """
    if k == BUY_AND_HOLD:
        return 1.0, 1.0, False
    if k >= BASELINES:
        i = k - BASELINES
        if wishes.awake[i] == 0:
            return 0.0, 0.0, True
        return wishes.target[i], wishes.confidence[i], False
    if awake == 0:
        return 0.0, 0.0, True
    if k == ENSEMBLE:
        return wishes.wanted, wishes.trust, False
    target = 0.0
    for i in range(wishes.awake.shape[0]):
        target += wishes.awake[i] * wishes.target[i]
    return target / awake, agreed(wishes.awake, wishes.target, wishes.confidence, target), False


@inlined
def _flattens(st: risk.Standing) -> bool:
    """Whether an account is halted and closing its position."""
    return st.state == risk.HALTED and st.flattening != 0


@inlined
def emit(m: Learner, book: Book, terms: account.Terms, t: int, out: Outputs) -> None:
    """Write what row t leaves: of the weights, and of the accounts."""
    clock, a = book.clock[0], book.account[ENSEMBLE]
    for i in range(m.learned.weights.shape[0]):
        out.weights[t, i] = m.learned.weights[i]
    last = max(m.memory.market.seen[0] - 1, 0) % m.memory.member_targets.shape[0]
    for j in range(m.learned.share.shape[0]):
        out.members[t, j] = m.learned.share[j]
        out.member_targets[t, j] = m.memory.member_targets[last, j]
    out.wanted[t], out.target[t] = clock.wanted, clock.target
    out.position[t], out.equity[t] = _position(a, terms, clock), a.equity
    for k in range(book.account.shape[0]):
        out.equities[t, k] = book.account[k].equity
    out.state[t] = book.standing[ENSEMBLE].state


@inlined
def _position(a: account.Account, terms: account.Terms, clock: Clock) -> float:
    """Position of an account at the last believed mid, units of capital."""
    return a.lots / terms.per_unit * clock.mid / terms.capital


@kernel
def write_statement(book: Book, terms: account.Terms, out: Outputs) -> None:
    """Write the statement of the UTC day that ended with the last row."""
    clock, at = book.clock[0], out.counts[0].statements
    out.counts[0].statements += 1
    out.day[at].seq, out.day[at].ts, out.day[at].day = clock.seq, clock.ts, clock.day
    for k in range(book.account.shape[0]):
        a, row = book.account[k], out.statement[at, k]
        row.pnl, row.position = a.equity - terms.capital, _position(a, terms, clock)
        row.turnover, row.fees, row.orders, row.exposure = a.turnover, a.fees, a.fills, a.exposed
        row.rows, row.drawdown, row.halts = clock.warm_rows, a.drawdown, book.standing[k].halts
