"""The events of a round besides its decisions: orders, fills, statements, and rows at a price that is not believed."""

from collections.abc import Iterator

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.trading.ensemble import Round
from windvane.streams.events import BookOpened, DeadLetter, Features, Fills, Orders, Statements

_COLUMNS = ("pnl", "position", "turnover", "fees", "orders", "exposure", "rows", "drawdown", "halts")
_RESUMED_BY = {"timed": "a person resumes", "lockstep": "a person resumes, or as on_halt says"}


def orders(opened: BookOpened, rows: Features, result: Round) -> Orders:
    """The orders of these rows; there must be one."""
    out, n = result.outputs, result.orders
    at = out.order_row[:n]
    return Orders(
        book=opened.book,
        seq=rows.seq[at],
        ts=rows.ts[at],
        qty=out.order[:n, 0].copy(),
        price=rows.mid[at],
        reduce_only=out.order_kind[:n, 0].copy(),
        valid_until=rows.ts[at] + opened.config.stale_after,
        target_after=out.order[:n, 1].copy(),
        reason=out.order_kind[:n, 1].copy(),
    )


def fills(opened: BookOpened, rows: Features, result: Round) -> Fills:
    """The fills of these rows; there must be one."""
    out, n = result.outputs, result.fills
    at = out.fill_row[:n]
    return Fills(
        book=opened.book,
        seq=rows.seq[at],
        order_seq=out.fill_seq[:n].copy(),
        ts=rows.ts[at],
        qty=out.fill[:n, 0].copy(),
        price=out.fill[:n, 1].copy(),
        fee=out.fill[:n, 2].copy(),
    )


def statements(opened: BookOpened, accounts: tuple[str, ...], result: Round) -> Statements:
    """The statements of the days that ended in these rows; there must be one."""
    out, n = result.outputs, result.statements
    return Statements(
        book=opened.book,
        seq=out.statement_at[:n, 0].copy(),
        ts=out.statement_at[:n, 1].copy(),
        day=out.statement_at[:n, 2].copy(),
        accounts=accounts,
        **{name: out.statement[:n, i].copy() for i, name in enumerate(_COLUMNS)},
    )


def strays(opened: BookOpened, rows: Features, before: bool, away: Ints) -> Iterator[DeadLetter]:
    """A letter for each row at which the price went to a level that the accounts do not believe.

    away: (n,) 1 where the price is on such a level; before: whether it was at the row before these.
    """
    for row in np.flatnonzero(np.diff(away, prepend=int(before)) > 0):
        yield DeadLetter(
            book=opened.book,
            source=f"decisions of {opened.book}, seq {int(rows.seq[row])}",
            reason=(
                "price is on another level, again and again: the book is neither marked nor traded there, and only "
                f"reduces until {_RESUMED_BY[opened.config.closing]}; to resume while it is there is to believe it"
            ),
            payload=f"ts {int(rows.ts[row])}, mid {float(rows.mid[row])}",
        )
