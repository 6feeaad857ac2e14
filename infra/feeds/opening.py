"""Opening: the feed that fits the name of an exchange."""

from __future__ import annotations

from windvane.infra.feeds.binance_feed import BinanceFeed
from windvane.infra.feeds.binance_wire import VENUES
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Feed

GENERIC = ("bitstamp", "bybit", "coinbase", "kraken", "okx")
"""Exchanges that are read over ccxt, which `windvane[live]` brings."""
NAMES = (*VENUES, *GENERIC)


def open_feed(exchange: str, symbol: str, endpoint: str | None = None) -> Feed:
    """Return the feed of one symbol; its `open` dials.

    exchange: one of `NAMES`, or `ccxt:binance` and `ccxt:binanceusdm` to read these over ccxt. endpoint: scheme, host
    and port that replace the exchange's own. Raises FeedError where the exchange is unknown or the endpoint is no
    address, ModuleNotFoundError where ccxt is needed and missing.
    """
    if exchange in VENUES:
        return BinanceFeed(exchange, symbol, endpoint)
    name = exchange.removeprefix("ccxt:")
    if name not in NAMES:
        raise FeedError(f"exchange is {exchange!r}: give one of {', '.join(NAMES)}")
    from windvane.infra.feeds.ccxt_feed import CcxtFeed

    return CcxtFeed(name, symbol, endpoint)
