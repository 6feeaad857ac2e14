"""The round: one per row, in one kernel, in an order that never changes.

- controls: the end of a day, and a person's control;
- settle: fills that are due, and all accounts marked to the mid;
- learn: every agent and member scored on what just happened, and weighed;
- decide: netting, risk, orders;
- emit: what the row leaves.

The ensemble's account is number 0. The baselines are further accounts, which meet the same prices, costs, delay and
gates. Each step is inlined into `rounds`, because a call that hands on the state counts a reference for each array.
"""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import account, rows
from windvane.metamodel.base.records import Records
from windvane.metamodel.learning import learner, netting, scores
from windvane.metamodel.trading import belief, control, risk
from windvane.metamodel.trading.columns import AT_HOME, Book, Clock, Inputs, Outputs, Row, Settings

DAY = 86_400_000_000_000
"""ns of a day."""

_EDGE = 1.0 - 0.5 ** (1.0 / 4000.0)
_SPACING = 0.01

HEALTHY_AFTER = 3
"""Good rows after a hole until the book is healthy again."""

ENSEMBLE, EQUAL, BUY_AND_HOLD, BASELINES = range(4)
"""The first accounts: of the ensemble, of equal weights, and of buy and hold; those of the agents follow."""


@kernel
def rounds(
    m: learner.Learner, rules: learner.Rules, book: Book, settings: Settings, inputs: Inputs, out: Outputs
) -> None:
    """Step through the rows: change the learner and the book, write the outputs."""
    clock, terms = book.clock[0], settings.terms
    awake = 0
    for i in range(inputs.awake.shape[0]):
        awake += inputs.awake[i]
    for t in range(inputs.ts.shape[0]):
        row = _row(inputs, t, clock.good_rows, awake)
        _controls(book, settings, inputs.control[t], row, out)
        out.verdict[t] = 0
        answer = _belief(book, m.market, settings.resumption.level, row)
        if answer != belief.NOT_BELIEVED:
            move = math.log(row.mid / clock.mid) if row.good > 0 else 0.0
            priced = abs(move) <= settings.limits.collar
            _settle(book, settings, row, priced, answer == belief.CONFIRMED, out)
            _learn(m, rules, clock, terms, inputs, row)
            clock.wanted = _aim(book, terms, m.weights, inputs.target[t], rules.band, row)
            if row.warm:
                view = _view(clock, settings, row, m.market.value[1], priced)
                earned = move if answer == belief.BELIEVED else 0.0  # no return lies between two levels
                trust = netting.weighted(m.weights, inputs.confidence[t])
                trust /= max(1.0 - m.cash[0], 1e-12)  # of the agents alone: cash has no opinion
                _decide(book, settings, inputs, row, view, earned, trust, out)
        elif row.flag & rows.REPEATED == 0:
            clock.streak = 0
            out.verdict[t] = 0 | risk.Gate.COLLAR
        elif row.flag & rows.GAP:
            clock.streak = 0
        _emit(m, book, terms, t, out)


@inlined
def _row(inputs: Inputs, t: int, good: int, awake: int) -> Row:
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
def _controls(book: Book, settings: Settings, code: int, row: Row, out: Outputs) -> None:
    """End the UTC day that the row leaves behind, then carry out the control that rules from the row on."""
    clock, st, a, terms = book.clock[0], book.standing, book.account, settings.terms
    day = (row.ts - 1) // DAY
    if clock.day_rows > 0 and day > clock.day:
        write_statement(book.clock, a, st, terms, out)
        clock.day_rows = 0
        control.new_day(st, a, terms, settings.resumption.halt == 0)
        if settings.resumption.level == 0 and clock.rows_away > 0:
            belief.lift(clock, st)
    if clock.day_rows == 0:
        clock.day = day
    if row.flag & rows.REPEATED == 0 or row.good > 0:  # bad rows before the first good one have no day
        clock.day_rows += 1
    clock.seq, clock.ts = row.seq, row.ts
    if code > 0:
        control.apply(st, a, terms, code)
        if code == control.RESUME:
            belief.lift(clock, st)


@inlined
def _belief(book: Book, market: scores.Market, resume_after: int, row: Row) -> int:
    """Whether the row is good and its mid believed: one of the answers of `belief.believe`."""
    if row.flag & rows.REPEATED != 0:
        return belief.NOT_BELIEVED
    clock = book.clock[0]
    if belief.at_home(clock, row.mid):
        return belief.BELIEVED
    return belief.believe(clock, market, book.standing, resume_after, row.mid, row.flag)


@inlined
def _settle(book: Book, settings: Settings, row: Row, priced: bool, confirmed: bool, out: Outputs) -> None:
    """Fill what is due and mark all accounts; end halts whose time is over.

    priced: the mid is within the collar; confirmed: it begins a level that was confirmed just now.
    """
    st, wait = book.standing, settings.resumption.halt
    for k in range(book.account.lots.shape[0]):
        _fill(book.account, settings.terms, row, k, out)
        pnl = account.mark(book.account, settings.terms, k, row.mid)
        if confirmed and st.state[k] != risk.HALTED:
            control.resume(
                st, k, pnl
            )  # what the account is worth on the new level is no loss or gain of the day
        if priced:  # a price that no order may be sent at is no peak to fall from
            st.peak[k] = max(st.peak[k], pnl)
        if wait > 0 and st.halted_by[k] == risk.BY_LIMIT and row.good - st.halted_at[k] >= wait:
            control.resume(st, k, pnl)


@inlined
def _fill(a: account.Accounts, terms: account.Terms, row: Row, k: int, out: Outputs) -> None:
    """Fill what is due for account k, and write the ensemble's fill."""
    lots, price, fee = account.settle(a, terms, k, row.good, row.mid, row.bid, row.ask, row.size)
    if k == ENSEMBLE and lots != 0:
        fill = out.fill[out.counts[0].fills]
        out.counts[0].fills += 1
        fill.row, fill.order_seq = row.t, a.pending_seq[row.good % a.pending.shape[1]]
        fill.qty, fill.price, fill.fee = lots / terms.per_unit, price, fee


@inlined
def _learn(
    m: learner.Learner, rules: learner.Rules, clock: Clock, terms: account.Terms, inputs: Inputs, row: Row
) -> None:
    """Score every agent and member on the believed row, weigh the agents for it, and count it."""
    t, cost = row.t, account.cost_per_unit(terms, row.mid, row.bid, row.ask)
    learner.learn(m, rules, row.mid, cost, row.warm, inputs.awake)
    learner.weigh(m, rules, inputs.x[t], inputs.regime[t], inputs.target[t], row.warm, inputs.awake)
    if row.good > 0:
        clock.spacing += max(_SPACING, 1.0 / row.good) * (row.ts - clock.good_ts - clock.spacing)
    clock.good_rows += 1
    clock.good_ts = row.ts
    clock.streak += 1
    clock.warm_rows += 1 if row.warm else 0
    clock.mid = row.mid


@inlined
def _aim(book: Book, terms: account.Terms, weights: Floats, target: Floats, band: float, row: Row) -> float:
    """The ensemble's wanted target: the agents' (N,), netted; with all of them asleep it wants what it has."""
    if row.awake == 0:
        return _exposure(book.account, terms, ENSEMBLE, row.mid)
    return netting.aim(weights, target, band, book.clock[0].wanted)


@inlined
def _view(clock: Clock, settings: Settings, row: Row, variance: float, priced: bool) -> risk.View:
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
def _decide(
    book: Book,
    settings: Settings,
    inputs: Inputs,
    row: Row,
    view: risk.View,
    earned: float,
    trust: float,
    out: Outputs,
) -> None:
    """Send every account's wanted target through the gates, and order what they leave of it.

    earned: return of the mid since the believed row before, 0 where the row begins another level; trust: confidence of
    the agents by their weights.
    """
    a, st, terms = book.account, book.standing, settings.terms
    ring = book.aims.shape[0]
    for k in range(a.lots.shape[0]):
        ask = _ask(book, terms, inputs, row, k, trust)
        edge = book.aims[(row.good - 1 - terms.delay) % ring, k] * earned
        st.edge[k, 0] += _EDGE * (edge - st.edge[k, 0])
        st.edge[k, 1] += _EDGE * (edge * edge - st.edge[k, 1])
        book.aims[row.good % ring, k] = ask.target
        verdict = _trade(book, settings, view, ask, row, out)
        if k == ENSEMBLE:
            out.verdict[row.t] = verdict
            book.clock[0].target = _exposure(a, terms, k, row.mid)
        if terms.delay == 0:
            _fill(a, terms, row, k, out)
            account.mark(a, terms, k, row.mid)
        a.exposed[k] += abs(a.lots[k] / terms.per_unit * row.mid) / terms.capital


@inlined
def _ask(book: Book, terms: account.Terms, inputs: Inputs, row: Row, k: int, trust: float) -> risk.Ask:
    """What account k wants: what those whom it follows want, or what it has where none of them is awake."""
    a, t = book.account, row.t
    target, confidence = 1.0, 1.0
    idle = row.awake < inputs.awake.shape[0] and _is_idle(k, inputs.awake, row.awake)
    if idle:
        target, confidence = _exposure(a, terms, k, row.mid), 0.0
    elif k == ENSEMBLE:
        target, confidence = book.clock[0].wanted, trust
    elif k == EQUAL:
        target, confidence = 0.0, 0.0
        for i in range(inputs.awake.shape[0]):
            target += inputs.awake[i] * inputs.target[t, i]
            confidence += inputs.awake[i] * inputs.confidence[t, i]
        target, confidence = target / row.awake, confidence / row.awake
    elif k >= BASELINES:
        target, confidence = inputs.target[t, k - BASELINES], inputs.confidence[t, k - BASELINES]
    return risk.Ask(
        k=k,
        target=target,
        confidence=confidence,
        idle=idle,
        exposure=a.lots[k] + a.flying[k],
        pnl=a.equity[k] - terms.capital,
        working=terms.participation > 0.0 and a.flying[k] != 0,
    )


@inlined
def _is_idle(k: int, awake: Ints, count: int) -> bool:
    """Whether nobody whom account k follows is awake; count: agents that are."""
    if k < BUY_AND_HOLD:
        return count == 0
    return k >= BASELINES and awake[k - BASELINES] == 0


@inlined
def _exposure(a: account.Accounts, terms: account.Terms, k: int, mid: float) -> float:
    """Position of account k and all in flight, units of capital."""
    return (a.lots[k] + a.flying[k]) / terms.per_unit * mid / terms.capital


@inlined
def _trade(book: Book, settings: Settings, view: risk.View, ask: risk.Ask, row: Row, out: Outputs) -> int:
    """Check what an account wants, and order what is left of it; returns the verdict."""
    a, st, terms, k = book.account, book.standing, settings.terms, ask.k
    if st.flatten[k] and a.lots[k] == 0 and a.flying[k] == 0:
        st.flatten[k] = 0
    flattened = _flattens(st, k)
    allowed, verdict = risk.check(settings.limits, st, view, ask)
    lots = allowed - ask.exposure
    if lots != 0:
        account.place(a, terms, k, row.good, row.seq, lots)
        st.day_turnover[k] += abs(lots) / terms.per_unit * row.mid
        st.sent[k, st.sent_at[k] % st.sent.shape[1]] = row.ts
        st.sent_at[k] += 1
    if k == ENSEMBLE and lots != 0:
        reduces = risk.reduction(allowed, ask.exposure) == allowed
        order = out.order[out.counts[0].orders]
        out.counts[0].orders += 1
        order.row, order.qty = row.t, lots / terms.per_unit
        order.target_after = allowed / terms.per_unit * row.mid / terms.capital
        order.reduce_only = 1 if reduces else 0
        order.reason = account.REBALANCE
        if flattened or _flattens(st, k):
            order.reason = account.FLATTEN
        elif allowed == 0:
            order.reason = account.CLOSE
        elif reduces:
            order.reason = account.REDUCE
    return verdict


@inlined
def _flattens(st: risk.Standing, k: int) -> bool:
    """Whether account k is halted and closing its position."""
    return st.state[k] == risk.HALTED and st.flatten[k] == 1


@inlined
def _emit(m: learner.Learner, book: Book, terms: account.Terms, t: int, out: Outputs) -> None:
    """Write what row t leaves: of the weights, and of the accounts."""
    clock, a = book.clock[0], book.account
    for i in range(m.weights.shape[0]):
        out.weights[t, i] = m.weights[i]
    last = max(m.market.seen[0] - 1, 0) % m.member_targets.shape[0]
    for j in range(m.share.shape[0]):
        out.members[t, j] = m.share[j]
        out.member_targets[t, j] = m.member_targets[last, j]
    out.wanted[t], out.target[t] = clock.wanted, clock.target
    out.position[t] = _position(a, terms, ENSEMBLE, clock)
    out.equity[t] = a.equity[ENSEMBLE]
    for k in range(a.lots.shape[0]):
        out.equities[t, k] = a.equity[k]
    out.state[t] = book.standing.state[ENSEMBLE]
    out.away[t] = 1 if clock.level != AT_HOME else 0


@inlined
def _position(a: account.Accounts, terms: account.Terms, k: int, clock: Clock) -> float:
    """Position of account k at the last believed mid, units of capital."""
    return a.lots[k] / terms.per_unit * clock.mid / terms.capital


@kernel
def write_statement(
    clock: Records, a: account.Accounts, st: risk.Standing, terms: account.Terms, out: Outputs
) -> None:
    """Write the statement of the UTC day that ended with the last row."""
    now, at = clock[0], out.counts[0].statements
    out.counts[0].statements += 1
    out.day[at].seq, out.day[at].ts, out.day[at].day = now.seq, now.ts, now.day
    for k in range(a.lots.shape[0]):
        row = out.statement[at, k]
        row.pnl = a.equity[k] - terms.capital
        row.position = _position(a, terms, k, now)
        row.turnover, row.fees, row.orders, row.exposure = a.turnover[k], a.fees[k], a.fills[k], a.exposed[k]
        row.rows, row.drawdown, row.halts = now.warm_rows, a.drawdown[k], st.halts[k]
