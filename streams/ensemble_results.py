"""The events of a round besides its decisions: orders, fills, statements, and rows at a price that is not believed."""

from collections.abc import Iterator

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.trading.columns import STATEMENT
from windvane.metamodel.trading.ensemble import Round
from windvane.streams.events import BookOpened, DeadLetter, Features, Fills, Orders, Statements

_RESUMED_BY = {"timed": "a person resumes", "lockstep": "a person resumes, or as on_halt says"}


def orders(opened: BookOpened, rows: Features, result: Round) -> Orders:
    """The orders of these rows; there must be one."""
    orders = result.outputs.order[: result.orders]
    at = orders["row"]
    return Orders(
        book=opened.book,
        seq=rows.seq[at],
        ts=rows.ts[at],
        qty=orders["qty"].copy(),
        price=rows.mid[at],
        reduce_only=orders["reduce_only"].copy(),
        valid_until=rows.ts[at] + opened.config.stale_after,
        target_after=orders["target_after"].copy(),
        reason=orders["reason"].copy(),
    )


def fills(opened: BookOpened, rows: Features, result: Round) -> Fills:
    """The fills of these rows; there must be one."""
    fills = result.outputs.fill[: result.fills]
    at = fills["row"]
    columns = {name: fills[name].copy() for name in ("order_seq", "qty", "price", "fee")}
    return Fills(book=opened.book, seq=rows.seq[at], ts=rows.ts[at], **columns)


def statements(opened: BookOpened, accounts: tuple[str, ...], result: Round) -> Statements:
    """The statements of the days that ended in these rows; there must be one."""
    out, n = result.outputs, result.statements
    days = {name: out.day[name][:n].copy() for name in ("seq", "ts", "day")}
    columns = {name: out.statement[name][:n].copy() for name in STATEMENT}
    return Statements(book=opened.book, accounts=accounts, **days, **columns)


def strays(opened: BookOpened, rows: Features, strayed: Ints) -> Iterator[DeadLetter]:
    """A letter for each row at which the price went to a level that the accounts do not believe.

    strayed: (n,) 1 at such a row.
    """
    for row in np.flatnonzero(strayed):
        yield DeadLetter(
            book=opened.book,
            source=f"decisions of {opened.book}, seq {int(rows.seq[row])}",
            reason=(
                "price is on another level, again and again: the book is neither marked nor traded there, and only "
                f"reduces until {_RESUMED_BY[opened.config.closing]}; to resume while it is there is to believe it"
            ),
            payload=f"ts {int(rows.ts[row])}, mid {float(rows.mid[row])}",
        )
