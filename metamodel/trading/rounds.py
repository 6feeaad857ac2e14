"""The round: one per row, in one kernel, in an order that never changes.

(0) controls due; (1) fills due, mark to market; (2) score every agent and member on what just happened; (3) learn;
(4) weights, netting, risk, order; (5) emit. The ensemble's account is number 0; the baselines are further accounts
that meet the same prices, costs, delay and gates.
"""

import math

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import account, rows
from windvane.metamodel.learning import learner, netting
from windvane.metamodel.learning.rules import Rules
from windvane.metamodel.learning.state import Learner
from windvane.metamodel.trading import belief, control, risk
from windvane.metamodel.trading.columns import AT_HOME, Clock, Inputs, Outputs, Resumption

_DAY = 86_400_000_000_000
_EDGE = 1.0 - 0.5 ** (1.0 / 4000.0)
HEALTHY_AFTER = 3
"""Good rows after a hole until the book is healthy again."""

BASELINES = 3
"""Accounts before those of the agents: ensemble, equal weights, buy and hold."""


@inlined
def _holds(k: int, awake: Ints, count: int) -> bool:
    """Whether nobody whom account k follows is awake."""
    if k < 2:
        return count == 0
    return k >= BASELINES and awake[k - BASELINES] == 0


@inlined
def _want(
    k: int, wanted: float, trust: float, target: Floats, confidence: Floats, awake: Ints, count: int
) -> tuple[float, float]:
    """Wanted target and confidence of account k, which does not hold."""
    if k == 0:
        return wanted, trust
    if k == 1:
        mean = 0.0
        sure = 0.0
        for i in range(target.shape[0]):
            mean += awake[i] * target[i]
            sure += awake[i] * confidence[i]
        return mean / count, sure / count
    if k == 2:
        return 1.0, 1.0
    return target[k - BASELINES], confidence[k - BASELINES]


@inlined
def _held(a: account.Accounts, terms: account.Terms, k: int, mid: float) -> float:
    """Position of account k and all in flight, units of capital."""
    return (a.lots[k] + a.flying[k]) / terms.per_unit * mid / terms.capital


@kernel
def rounds(
    clock: Clock,
    m: Learner,
    rules: Rules,
    a: account.Accounts,
    terms: account.Terms,
    st: risk.Standing,
    gates: risk.Gates,
    resumption: Resumption,
    inputs: Inputs,
    out: Outputs,
) -> None:
    """Step through the rows."""
    n, accounts = inputs.ts.shape[0], a.lots.shape[0]
    quoted, sized = inputs.bid.size > 0, inputs.size.size > 0
    ring = clock.wanted.shape[0]
    agents, count = inputs.awake.shape[0], 0
    for i in range(agents):
        count += inputs.awake[i]
    for t in range(n):
        ts, mid, flag = inputs.ts[t], inputs.mid[t], inputs.flags[t]
        good_row, warm = flag & rows.REPEATED == 0, flag & rows.WARMUP == 0
        bid = inputs.bid[t] if quoted else math.nan
        ask = inputs.ask[t] if quoted else math.nan
        day = (ts - 1) // _DAY
        if clock.n[1] > 0 and day > clock.n[0]:
            state_account(out, clock, a, st, terms)
            clock.n[1] = 0
            control.new_day(st, a, terms, resumption.halt == 0)
            if resumption.level == 0 and clock.away[1] > 0:
                belief.lift(clock, st)
        clock.n[0] = day if clock.n[1] == 0 else clock.n[0]
        if good_row or clock.n[4] > 0:  # a bad first row has no day
            clock.n[1] += 1
        clock.n[2], clock.n[3] = inputs.seq[t], ts

        if inputs.control[t] > 0:
            control.order(st, a, terms, inputs.control[t])
            if inputs.control[t] == control.RESUME:
                belief.lift(clock, st)
        out.verdict[t] = 0
        said = belief.NOT_BELIEVED
        if good_row:
            said = belief.BELIEVED
            if not belief.at_home(clock, mid):
                said = belief.believe(clock, m.memory.market, st, resumption.level, mid, flag)
            good_row = said != belief.NOT_BELIEVED
        if good_row:
            good = clock.n[4]
            cost = account.cost_per_unit(terms, mid, bid, ask)
            last_mid = clock.f[0] if good > 0 else mid
            priced = abs(math.log(mid / last_mid)) <= gates.collar
            if said != belief.BELIEVED:
                last_mid = mid  # on another level, and no return lies between
            for k in range(accounts):
                lots, price, fee = account.settle(
                    a, terms, k, good, mid, bid, ask, inputs.size[t] if sized else 0.0
                )
                if k == 0 and lots != 0:
                    _emit_fill(
                        out, t, a.pending_seq[good % a.pending.shape[1]], lots / terms.per_unit, price, fee
                    )
                pnl = account.mark(a, terms, k, mid)
                if said == belief.CONFIRMED and st.state[k] != risk.HALTED:
                    control.resume(st, k, pnl)  # what it is worth there is no loss or gain of the day
                if priced:  # a price that is refused is no peak to fall from
                    st.peak[k] = max(st.peak[k], pnl)
                if (
                    resumption.halt > 0
                    and st.halted_by[k] == risk.BY_LIMIT
                    and good - st.halted_at[k] >= resumption.halt
                ):
                    control.resume(st, k, pnl)
            learner.learn(m, rules, mid, cost, warm, inputs.awake)
            learner.weigh(m, rules, inputs.x[t], inputs.regime[t], inputs.target[t], warm, inputs.awake)
            if good > 0:
                clock.f[1] += max(0.01, 1.0 / good) * (ts - clock.n[5] - clock.f[1])
            clock.n[4] += 1
            clock.n[5] = ts
            clock.n[6] += 1
            clock.n[7] += 1 if warm else 0
            clock.f[0] = mid
            trust = netting.weighted(m.learned.weights, inputs.confidence[t])
            trust /= max(1.0 - m.memory.cash[0], 1e-12)  # of those who are believed; cash has no opinion
            wanted = _held(a, terms, 0, mid)
            if count > 0:
                wanted = netting.aim(m.learned.weights, inputs.target[t], rules.band, clock.f[2])
            clock.f[2] = wanted
            view = risk.View(
                ts=ts,
                good=good,
                mid=mid,
                priced=priced,
                spread=(ask - bid) / mid if quoted else 2.0 * terms.half_spread,
                healthy=clock.n[6] > HEALTHY_AFTER,
                s=math.sqrt(max(m.memory.market.value[1], 1e-12)),
                rows_a_day=_DAY / max(clock.f[1], 1.0),
            )
            if warm:
                r = math.log(mid / last_mid)
                for k in range(accounts):
                    hold = count < agents and _holds(k, inputs.awake, count)
                    if hold:
                        want, sure = _held(a, terms, k, mid), 0.0
                    else:
                        want, sure = _want(
                            k, wanted, trust, inputs.target[t], inputs.confidence[t], inputs.awake, count
                        )
                    earned = clock.wanted[(good - 1 - terms.delay) % ring, k] * r
                    st.edge[k, 0] += _EDGE * (earned - st.edge[k, 0])
                    st.edge[k, 1] += _EDGE * (earned * earned - st.edge[k, 1])
                    clock.wanted[good % ring, k] = want
                    verdict = _trade(a, terms, st, gates, view, k, want, sure, hold, inputs.seq[t], t, out)
                    if k == 0:
                        out.verdict[t] = verdict
                        clock.f[3] = _held(a, terms, 0, mid)
                        if terms.delay == 0:
                            lots, price, fee = account.settle(
                                a, terms, k, good, mid, bid, ask, inputs.size[t] if sized else 0.0
                            )
                            if lots != 0:
                                _emit_fill(out, t, inputs.seq[t], lots / terms.per_unit, price, fee)
                    elif terms.delay == 0:
                        account.settle(a, terms, k, good, mid, bid, ask, inputs.size[t] if sized else 0.0)
                    if terms.delay == 0:
                        account.mark(a, terms, k, mid)
                    a.exposure[k] += abs(a.lots[k] / terms.per_unit * mid) / terms.capital
        elif clock.away[0] != AT_HOME and flag & rows.REPEATED == 0:
            clock.n[6] = 0
            out.verdict[t] = risk.COLLAR
        else:
            clock.n[6] = 0 if flag & rows.GAP else clock.n[6]
        _emit(out, t, m, a, terms, st, clock)


@inlined
def _trade(
    a: account.Accounts,
    terms: account.Terms,
    st: risk.Standing,
    gates: risk.Gates,
    view: risk.View,
    k: int,
    wanted: float,
    confidence: float,
    hold: bool,
    seq: int,
    t: int,
    out: Outputs,
) -> int:
    """Check account k's wanted target, and send what is left of it; gives the verdicts."""
    held = a.lots[k] + a.flying[k]
    if st.flatten[k] and a.lots[k] == 0 and a.flying[k] == 0:
        st.flatten[k] = 0
    flattening = st.state[k] == risk.HALTED and st.flatten[k] == 1
    allowed, verdict = risk.check(
        gates, st, k, view, wanted, confidence, held, a.equity[k] - terms.capital, hold
    )
    if terms.participation > 0.0 and a.flying[k] != 0 and allowed != held:
        verdict |= risk.IN_FLIGHT  # one order works at a time
        allowed = held
    lots = allowed - held
    if lots != 0:
        account.place(a, terms, k, view.good, seq, lots)
        st.day_turnover[k] += abs(lots) / terms.per_unit * view.mid
        st.sent[k, st.sent_at[k] % st.sent.shape[1]] = view.ts
        st.sent_at[k] += 1
    if k == 0 and lots != 0:
        at = out.counts[0]
        out.counts[0] += 1
        reduces = (held > 0 and 0 <= allowed < held) or (held < 0 and held < allowed <= 0)
        out.order_row[at] = t
        out.order[at, 0] = lots / terms.per_unit
        out.order[at, 1] = allowed / terms.per_unit * view.mid / terms.capital
        out.order_kind[at, 0] = 1 if reduces else 0
        forced = flattening or (st.state[k] == risk.HALTED and st.flatten[k] == 1)
        out.order_kind[at, 1] = 3 if forced else (2 if allowed == 0 else (1 if reduces else 0))
    return verdict


@inlined
def _emit_fill(out: Outputs, t: int, order_seq: int, qty: float, price: float, fee: float) -> None:
    at = out.counts[1]
    out.counts[1] += 1
    out.fill_row[at] = t
    out.fill_seq[at] = order_seq
    out.fill[at, 0], out.fill[at, 1], out.fill[at, 2] = qty, price, fee


@inlined
def _emit(
    out: Outputs,
    t: int,
    m: Learner,
    a: account.Accounts,
    terms: account.Terms,
    st: risk.Standing,
    clock: Clock,
) -> None:
    for i in range(m.learned.weights.shape[0]):
        out.weights[t, i] = m.learned.weights[i]
    ring = m.memory.member_targets.shape[0]
    for j in range(m.learned.share.shape[0]):
        out.members[t, j] = m.learned.share[j]
        out.member_targets[t, j] = m.memory.member_targets[max(m.memory.market.seen[0] - 1, 0) % ring, j]
    out.value[0, t], out.value[1, t] = clock.f[2], clock.f[3]
    out.value[2, t] = a.lots[0] / terms.per_unit * clock.f[0] / terms.capital
    out.value[3, t] = a.equity[0]
    for k in range(a.lots.shape[0]):
        out.equities[t, k] = a.equity[k]
    out.state[t] = st.state[0]
    out.away[t] = 1 if clock.away[0] != AT_HOME else 0


@kernel
def state_account(
    out: Outputs, clock: Clock, a: account.Accounts, st: risk.Standing, terms: account.Terms
) -> None:
    """Write the statement of the day that ended with the last row."""
    at = out.counts[2]
    out.counts[2] += 1
    out.statement_at[at, 0], out.statement_at[at, 1], out.statement_at[at, 2] = (
        clock.n[2],
        clock.n[3],
        clock.n[0],
    )
    for k in range(a.lots.shape[0]):
        row = out.statement[at]
        row[0, k] = a.equity[k] - terms.capital
        row[1, k] = a.lots[k] / terms.per_unit * clock.f[0] / terms.capital
        row[2, k], row[3, k], row[4, k], row[5, k] = a.turnover[k], a.fees[k], a.fills[k], a.exposure[k]
        row[6, k], row[7, k], row[8, k] = clock.n[7], a.drawdown[k], st.halts[k]
