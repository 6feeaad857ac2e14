"""Orders and fills as single events: what people and venues read, one JSON object a line.

The columns inside and in the journal are the same facts; these carry the time as text as well, since a
JavaScript number cannot hold nanoseconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from windvane.agents.base import Ints
from windvane.metamodel.base.account import REASONS
from windvane.streams.events import Fills, Orders


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order of a book, as it is on the topic orders and in orders.jsonl."""

    id: Annotated[str, Meta(description="BOOK.SEQ.order")]
    book: str
    seq: Annotated[int, Meta(description="of the row it was decided at")]
    ts: Annotated[int, Meta(description="event time, UNIX ns")]
    time: Annotated[str, Meta(description="ts as RFC 3339, 9 digits, Z")]
    symbol: str
    side: Annotated[str, Meta(description='"buy" or "sell"')]
    qty: Annotated[float, Meta(description="base currency, > 0")]
    price: Annotated[float, Meta(description="reference: the mid it was decided at, quote currency")]
    reduce_only: bool
    valid_until: Annotated[int, Meta(description="UNIX ns")]
    target_after: Annotated[
        float, Meta(description="position once it and all in flight are filled, units of capital")
    ]
    reason: Annotated[str, Meta(description="one of windvane.metamodel.base.account.REASONS")]


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fill of a book; its cost against the reference price is in `price`, the fee is not."""

    id: Annotated[
        str,
        Meta(
            description="BOOK.SEQ.fill; BOOK.SEQ.fill2 where another order was filled at that row before it"
        ),
    ]
    book: str
    order_id: Annotated[str, Meta(description="BOOK.SEQ.order")]
    seq: Annotated[int, Meta(description="of the row it was filled at")]
    ts: Annotated[int, Meta(description="event time, UNIX ns")]
    time: Annotated[str, Meta(description="ts as RFC 3339, 9 digits, Z")]
    symbol: str
    side: Annotated[str, Meta(description='"buy" or "sell"')]
    qty: Annotated[float, Meta(description="base currency, > 0")]
    price: Annotated[float, Meta(description="quote currency")]
    fee: Annotated[float, Meta(description="currency")]


def rfc3339(ts: Ints) -> list[str]:
    """Return times (n,) in UNIX ns as n texts such as 2024-01-31T23:59:59.000000001Z."""
    return [f"{t}Z" for t in ts.view("datetime64[ns]").astype(str).tolist()]


def each_order(orders: Orders, symbol: str) -> Iterator[Order]:
    """Yield the rows of a batch as single orders."""
    book = orders.book
    columns = zip(
        orders.seq.tolist(),
        orders.ts.tolist(),
        rfc3339(orders.ts),
        orders.qty.tolist(),
        orders.price.tolist(),
        orders.reduce_only.tolist(),
        orders.valid_until.tolist(),
        orders.target_after.tolist(),
        orders.reason.tolist(),
        strict=True,
    )
    for seq, ts, time, qty, price, reduce_only, valid_until, target_after, reason in columns:
        yield Order(
            id=f"{book}.{seq}.order",
            book=book,
            seq=seq,
            ts=ts,
            time=time,
            symbol=symbol,
            side="buy" if qty > 0 else "sell",
            qty=abs(qty),
            price=price,
            reduce_only=reduce_only != 0,
            valid_until=valid_until,
            target_after=target_after,
            reason=REASONS[reason],
        )


def each_fill(fills: Fills, symbol: str, before: int = -1) -> Iterator[Fill]:
    """The rows of a batch in which anything was filled; where participation left nothing, there is no fill.

    before: seq of the last row of the batch before, where a row's two fills may have been cut apart.
    """
    book = fills.book
    columns = zip(
        fills.order_seq.tolist(),
        fills.seq.tolist(),
        fills.ts.tolist(),
        rfc3339(fills.ts),
        fills.qty.tolist(),
        fills.price.tolist(),
        fills.fee.tolist(),
        strict=True,
    )
    for order_seq, seq, ts, time, qty, price, fee in columns:
        second, before = seq == before, seq
        if qty == 0:
            continue
        yield Fill(
            id=f"{book}.{seq}.fill2" if second else f"{book}.{seq}.fill",
            book=book,
            order_id=f"{book}.{order_seq}.order",
            seq=seq,
            ts=ts,
            time=time,
            symbol=symbol,
            side="buy" if qty > 0 else "sell",
            qty=abs(qty),
            price=price,
            fee=fee,
        )


_encoder = msgspec.json.Encoder()


class _Place(msgspec.Struct):
    book: str
    seq: int


def order_lines(orders: Orders, symbol: str) -> Iterator[tuple[int, bytes]]:
    """Yield seq and JSON of every order: the record of a topic, and the line of a file."""
    return _lines(each_order(orders, symbol))


def fill_lines(fills: Fills, symbol: str) -> Iterator[tuple[int, bytes]]:
    """Yield seq and JSON of every fill."""
    return _lines(each_fill(fills, symbol))


def _lines(records: Iterable[Order | Fill]) -> Iterator[tuple[int, bytes]]:
    """Seq and JSON of each: encoded together, since JSON has no line break within a record."""
    found: list[Order | Fill] = list(records)
    lines = _encoder.encode_lines(found).split(b"\n")
    return zip((record.seq for record in found), lines, strict=False)  # behind the last line break is no line


def seq_of_line(raw: bytes) -> tuple[str, int]:
    """Return book and seq of an order or fill in JSON."""
    place = msgspec.json.decode(raw, type=_Place)
    return place.book, place.seq


def orders_of(orders: Sequence[Order]) -> Orders:
    """Orders of one book as columns again: what `each_order` was called with."""
    return Orders(
        book=orders[0].book,
        seq=np.array([o.seq for o in orders]),
        ts=np.array([o.ts for o in orders]),
        qty=np.array([o.qty if o.side == "buy" else -o.qty for o in orders]),
        price=np.array([o.price for o in orders]),
        reduce_only=np.array([int(o.reduce_only) for o in orders]),
        valid_until=np.array([o.valid_until for o in orders]),
        target_after=np.array([o.target_after for o in orders]),
        reason=np.array([REASONS.index(o.reason) for o in orders]),
    )


def fills_of(fills: Sequence[Fill]) -> Fills:
    """Fills of one book as columns again; rows in which nothing was filled are left out."""
    return Fills(
        book=fills[0].book,
        seq=np.array([f.seq for f in fills]),
        order_seq=np.array([int(f.order_id.rsplit(".", 2)[1]) for f in fills]),
        ts=np.array([f.ts for f in fills]),
        qty=np.array([f.qty if f.side == "buy" else -f.qty for f in fills]),
        price=np.array([f.price for f in fills]),
        fee=np.array([f.fee for f in fills]),
    )
