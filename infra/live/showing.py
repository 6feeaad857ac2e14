"""What a session says of itself: to people who look at it, and to alerts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from windvane.infra.live.alerts import Facts
from windvane.metamodel.base.times import DAY
from windvane.metamodel.trading.control import STATES
from windvane.streams.events import WARMUP

if TYPE_CHECKING:
    from windvane.infra.live.session import Session


def state_of(session: Session) -> dict[str, Any]:
    """The state of a session whose book is open, as JSON values. Prices, equity and pnl: quote currency; qty: base."""
    book, market, now = session.book, session.feed.market, session.book.decisions
    config = book.opened.config
    price = 0.0 if now is None else float(now.mid[-1])
    position = 0.0 if now is None else float(now.position[-1])
    equity = config.capital if now is None else float(now.equity[-1])
    return {
        "book": book.opened.book,
        "exchange": market.exchange,
        "symbol": market.symbol,
        "perpetual": market.perpetual,
        "mode": "paper",
        "state": STATES[0 if now is None else int(now.state[-1])],
        "warming_up": now is None or bool(now.flags[-1] & WARMUP),
        "price": price,
        "position": position,
        "qty": position * config.capital / price if price else 0.0,
        "equity": equity,
        "pnl": equity - config.capital,
        "rows": book.mark.seq,
        "first_live": session.first_live,
        "age_seconds": time.monotonic() - session.heard,
        "last_order": None if book.order is None else msgspec.to_builtins(book.order),
        "last_fill": None if book.fill is None else msgspec.to_builtins(book.fill),
        "control": book.control_number,
        "offset_seconds": session.feed.offset / 1e9,
        "gaps": session.gaps,
        "stored": session.stored,
        "feed": msgspec.to_builtins(session.feed.counts),
        "latency_us": session.latencies.told(),
    }


def facts_of(session: Session) -> Facts:
    """What alerts are made of."""
    told, book = state_of(session), session.book
    return Facts(
        now=time.monotonic(),
        day=session.feed.now() // DAY,
        state=told["state"],
        silent=told["age_seconds"],
        dials=session.feed.counts.dials,
        letters=session.rejected.total(),
        kept=book.kept,
        offset=told["offset_seconds"],
        rows=book.mark.seq,
        decided=0 if book.decisions is None else book.decisions.last + 1,
        stored=session.stored,
        equity=told["equity"],
        pnl=told["pnl"],
        capital=book.opened.config.capital,
        orders=book.orders,
    )
