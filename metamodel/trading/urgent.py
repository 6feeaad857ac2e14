"""A person's flatten between two good rows: an urgent order, sent at a heartbeat and filled at the next good row.

Good rows may be an hour apart, or stop coming, and who wants to get out does not wait for one. Nothing else trades at a
heartbeat, which brings no price: not a limit's own flattening, and no agent.
"""

from windvane.agents.base import Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import account
from windvane.metamodel.trading import gates, orders
from windvane.metamodel.trading.columns import AT_HOME, ENSEMBLE, Book, Clock, Outputs, Row, Settings
from windvane.metamodel.trading.risk import BY_PERSON, Ask, Gate, Limits, View


@kernel
def flatten(book: Book, settings: Settings, row: Row, out: Outputs) -> None:
    """Order closed at a heartbeat, for every account (K,), what a person wants closed; the price is the last believed.

    The gates that a reduction may meet are those of `gates.check`, in its order.
    """
    clock, terms, limits = book.clock[0], settings.terms, settings.limits
    view = _view_of(clock, limits, row)
    for k in range(book.account.shape[0]):
        a = book.account[k]
        closable = _closable(a, book.pending[k], row.good)
        if book.standing[k].flattening != BY_PERSON or closable == 0:
            continue
        ask = _ask_of(a, terms)
        want, verdict = ask.exposure - closable, 0 | Gate.STATE
        want, verdict = gates.gate_order_qty(limits, ask, want, verdict)
        want, verdict = gates.gate_min_order(limits, view, ask, want, verdict)
        want, verdict = gates.gate_collar(view, ask, want, verdict)
        want, verdict = gates.gate_in_flight(ask, want, verdict)
        if k == ENSEMBLE:
            out.verdict[row.t] = verdict
        if want != ask.exposure:
            account.place_urgent(a, want - ask.exposure)
            orders.remember(book, terms, row.ts, clock.mid, k, want - ask.exposure)
            if k == ENSEMBLE:
                clock.urgent_seq, clock.target = row.seq, orders.exposure_of(a, terms, clock.mid)
                orders.write_order(terms, row.t, clock.mid, ask.exposure, want, True, out)


@inlined
def _closable(a: account.Account, pending: Ints, good: int) -> int:
    """Lots that an urgent order may close, < 0 of a short position; `good` is the number of the next good row.

    The order overtakes those that fill later. So it closes the least that is held while they fill: more would turn the
    position on the way, and what is left is closed at the next good row. pending: (delay + 1,) of the account.
    """
    held = a.lots + pending[good % pending.shape[0]] + a.urgent
    least = held
    for later in range(1, pending.shape[0]):
        held += pending[(good + later) % pending.shape[0]]
        least = min(least, max(held, 0)) if least > 0 else max(least, min(held, 0))
    return least


@inlined
def _view_of(clock: Clock, limits: Limits, row: Row) -> View:
    """The market as it was last believed; a price that is on another level now is none to trade at.

    Of spread, health and volatility, which no reduction is asked for, nothing is known.
    """
    return View(
        ts=row.ts,
        good=row.good,
        mid=clock.mid,
        priced=clock.level == AT_HOME,
        spread=0.0,
        healthy=True,
        s=0.0,
        rows_a_day=0.0,
        unit=0.0,
    )


@inlined
def _ask_of(a: account.Account, terms: account.Terms) -> Ask:
    """What an account asks of the gates when it is closed; one urgent order works at a time."""
    return Ask(
        target=0.0,
        scaled=False,
        idle=False,
        exposure=a.lots + a.flying,
        pnl=a.equity - terms.capital,
        working=a.urgent != 0 or (terms.participation > 0.0 and a.flying != 0),
        oldest=0,
    )


@kernel
def fill(book: Book, terms: account.Terms, row: Row, k: int, out: Outputs) -> None:
    """Fill the urgent order of account k at a good row, and write the ensemble's fill."""
    lots, price, fee = account.settle_urgent(book.account[k], terms, row.mid, row.bid, row.ask, row.size)
    if k == ENSEMBLE and lots != 0:
        orders.write_fill(terms, row.t, book.clock[0].urgent_seq, lots, price, fee, out)
