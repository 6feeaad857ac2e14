"""Feed: the one interface behind which every exchange is read, and the items that come out of it.

A session calls it like this, in one event loop:

    feed = open_feed("binanceusdm", "BTCUSDT", endpoint="http://127.0.0.1:8080")
    market = await feed.open(after=last_trade_id)     # asks by REST; seconds
    while not done:
        for item in await feed.take():                # waits until there is something, then returns all of it
            ...
    await feed.close()

`open`, `take`, `settled`, `klines` and `trades` wait without blocking the loop; `offset`, `now` and `counts` return at
once. A feed reads its sockets in tasks of its own from `open` to `close`, so a caller that computes for a second loses
nothing: items pile up, at most `MOST_WAITING` of them, after which the sockets are not read until the caller has taken
them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

MOST_WAITING = 200_000
"""Items that wait for `take` before the sockets are left unread: about 100 bytes each."""

Kind = Literal["connected", "silent", "dialling", "offset", "garbage", "refused", "rollover"]


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade of the exchange.

    id: the exchange's number, rising by one a trade where `Market.dense`; as delivered, ids only rise. ts: ns, the
    exchange's time; it may step back by a little, which the `Cleaner` judges. price: quote currency. qty: base
    currency. buyer: whether the buyer took, so the price was the ask. received: ns, this machine's clock when the
    frame was read, 0 for a trade fetched by REST.
    """

    id: int
    ts: int
    price: float
    qty: float
    buyer: bool
    received: int = 0


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Best bid and ask.

    ts: ns, the exchange's time, or the estimate of it where the exchange sends none (Binance spot). Prices in quote,
    sizes in base currency. received: ns, this machine's clock when the frame was read.
    """

    ts: int
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    received: int = 0


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Trades that were missed and could not be fetched; they never come later.

    first, last: the ids that are missing, both included; 0 where the exchange's ids do not say. since, until: ns, the
    times of the trades before and after it, 0 where there was none. reason: a sentence.
    """

    first: int
    last: int
    since: int
    until: int
    reason: str


class Note(msgspec.Struct, frozen=True, gc=False):
    """What happened to the feed itself.

    kind: "connected": frames come (again); "silent": no frame for `value` seconds, the connection is dropped;
    "dialling": the next attempt starts in `value` seconds; "offset": the exchange's clock is `value` seconds ahead of
    this machine's; "garbage": frames that could not be read, `value` in all, skipped; "refused": the exchange answered
    429 or 418 and is left alone for `value` seconds; "rollover": a second socket replaces one that is about to end.
    ts: ns, this machine's clock. text: a sentence for people.
    """

    kind: Kind
    ts: int
    text: str
    value: float = 0.0


Item = Trade | Quote | Gap | Note


class Kline(msgspec.Struct, frozen=True, gc=False):
    """A bar as the exchange publishes it.

    ts: ns, its open time. volume, buy_volume: base currency; buy_volume is what buyers took, None where the exchange
    does not say.
    """

    ts: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    buy_volume: float | None


class Market(msgspec.Struct, frozen=True):
    """What an exchange says about one symbol.

    symbol: as people write it, BTC/USDT or BTC/USDT:USDT. native: as the exchange writes it. tick, lot: steps of price
    (quote currency) and quantity (base currency). least_qty: base, least_notional: quote currency; 0 where there is no
    limit. taker_bp: the fee of a taker without discounts, in basis points. perpetual: whether positions pay funding
    and may be short. dense: whether ids rise by exactly one a trade, so that a missing trade is seen. quotes: whether
    best bid and ask are published. lacks: sentences on what this feed cannot do.
    """

    exchange: str
    symbol: str
    native: str
    base: str
    quote: str
    tick: float
    lot: float
    least_qty: float
    least_notional: float
    taker_bp: float
    perpetual: bool
    dense: bool = True
    quotes: bool = True
    lacks: tuple[str, ...] = ()


class Counts(msgspec.Struct):
    """What a feed has seen since it was opened."""

    trades: int = 0
    quotes: int = 0
    duplicates: int = 0
    garbage: int = 0
    reordered: int = 0
    fetched: int = 0  # trades that came by REST after a break
    gaps: int = 0
    dials: int = 0


class Feed(Protocol):
    """Public market data of one symbol. Errors that a person can mend are `FeedError`s with one sentence."""

    @property
    def market(self) -> Market:
        """What `open` learned; raises FeedError before it."""
        ...

    @property
    def offset(self) -> int:
        """ns by which the exchange's clock is ahead of this machine's, the median of five round trips."""
        ...

    @property
    def counts(self) -> Counts:
        """What was seen so far; the same object each time."""
        ...

    def now(self) -> int:
        """ns, the exchange's time by this machine's clock and the offset: what `settled` is told in."""
        ...

    async def open(self, after: int | None = None) -> Market:
        """Ask the exchange for the symbol and the time, and begin to read.

        after: the id of the last trade that the caller has from an earlier session; those since then are fetched and
        come first, or a Gap does. Raises FeedError where the symbol is unknown or the exchange cannot be reached.
        """
        ...

    async def take(self) -> list[Item]:
        """Wait until an item is there, and return all that are, trades in the order of their ids.

        Trades and quotes that came on two sockets are merged by their time. Raises FeedError where the feed is closed
        or can never go on (the symbol was delisted, the address is banned for good).
        """
        ...

    async def settled(self) -> int:
        """ns, the exchange's time up to which silence may close bars: all that had arrived by then has been taken.

        It is `now` of some ms ago, and stays behind where the loop stood still until the sockets are read empty. Call
        it after `take`, and put what that returned before anything follows from the time.
        """
        ...

    def klines(self, interval: int, since: int, until: int) -> AsyncIterator[list[Kline]]:
        """Pages of finished bars of `interval` ns that open in [since, until) ns, oldest first; may be called before
        `open` has been, never concurrently with itself.
        """
        ...

    async def trades(self, since: int, until: int) -> list[Trade]:
        """Trades with since <= ts < until (ns), oldest first: what lies between the last bar of a history and now."""
        ...

    async def close(self) -> None:
        """End all tasks and sockets; a second call does nothing."""
        ...
