"""Orders of an account, from the exposure to what the gates allow: put in flight, filled, and written.

The ensemble's are written for others; those of the baselines only move their accounts.
"""

from windvane.agents.kernel import inlined
from windvane.metamodel.base import account
from windvane.metamodel.trading import gates
from windvane.metamodel.trading.columns import ENSEMBLE, Book, Outputs, Row


@inlined
def exposure_of(a: account.Account, terms: account.Terms, mid: float) -> float:
    """Position of an account and all in flight, units of capital."""
    return (a.lots + a.flying) / terms.per_unit * mid / terms.capital


@inlined
def place(book: Book, terms: account.Terms, row: Row, k: int, lots: int) -> None:
    """Put an order of account k in flight at a good row, and remember what the gates ask of orders."""
    account.place(book.account[k], book.pending[k], terms, row.good, lots)
    if k == ENSEMBLE:
        book.pending_seq[(row.good + terms.delay) % book.pending_seq.shape[0]] = row.seq
    remember(book, terms, row.ts, row.mid, k, lots)


@inlined
def remember(book: Book, terms: account.Terms, ts: int, mid: float, k: int, lots: int) -> None:
    """Remember what the gates ask of orders: that account k sent one of so many lots at a time (ns) and a mid."""
    st = book.standing[k]
    st.day_turnover += abs(lots) / terms.per_unit * mid
    book.sent[k, st.sent_at % book.sent.shape[1]] = ts
    st.sent_at += 1


@inlined
def fill(book: Book, terms: account.Terms, row: Row, k: int, out: Outputs) -> None:
    """Fill what is due for account k at a good row, and write the ensemble's fill."""
    lots, price, fee = account.settle(
        book.account[k], book.pending[k], terms, row.good, row.mid, row.bid, row.ask, row.size
    )
    if k == ENSEMBLE and lots != 0:
        seq = book.pending_seq[row.good % book.pending_seq.shape[0]]
        write_fill(terms, row.t, seq, lots, price, fee, out)


@inlined
def write_fill(
    terms: account.Terms, t: int, seq: int, lots: int, price: float, fee: float, out: Outputs
) -> None:
    """Write a fill of the ensemble at row t; seq: of its order."""
    fill = out.fill[out.counts[0].fills]
    out.counts[0].fills += 1
    fill.row, fill.order_seq = t, seq
    fill.qty, fill.price, fill.fee = lots / terms.per_unit, price, fee


@inlined
def write_order(
    terms: account.Terms, t: int, mid: float, exposure: int, allowed: int, flattens: bool, out: Outputs
) -> None:
    """Write the ensemble's order at row t and a mid, from its exposure to the one that is allowed, in lots."""
    reduces = gates.reduction(allowed, exposure) == allowed
    order = out.order[out.counts[0].orders]
    out.counts[0].orders += 1
    order.row, order.qty = t, (allowed - exposure) / terms.per_unit
    order.target_after = allowed / terms.per_unit * mid / terms.capital
    order.reduce_only = 1 if reduces else 0
    order.reason = account.REBALANCE
    if flattens:
        order.reason = account.FLATTEN
    elif allowed == 0:
        order.reason = account.CLOSE
    elif reduces:
        order.reason = account.REDUCE
