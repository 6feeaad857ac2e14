"""What ccxt can and cannot read of each exchange, and its markets as ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from windvane.infra.feeds.feed import Market
from windvane.infra.feeds.rest import websocket_of

_NO_ORDER = "trades and quotes come on two sockets, so their times alone tell the order"
_NO_IDS = "ids do not tell what is missing: after a break the latest trades are joined, or a gap is told"


@dataclass(frozen=True, slots=True)
class Venue:
    """How one exchange is watched.

    quotes: where ccxt keeps the best bid and ask, "" where it has none. dense: whether ids rise by one a trade. params:
    for the subscription to trades. lacks: sentences for people.
    """

    quotes: str
    dense: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


VENUES = {
    "binance": Venue(
        "bidsasks", True, {"name": "aggTrade"}, (_NO_ORDER, "quotes have no time of the exchange")
    ),
    "binanceusdm": Venue("bidsasks", True, {"name": "aggTrade"}, (_NO_ORDER,)),
    "kraken": Venue("tickers", lacks=(_NO_IDS, "quotes have no time of the exchange")),
    "okx": Venue("bidsasks", lacks=(_NO_IDS, "fills of one order at one price come as one trade")),
    "bybit": Venue("bidsasks", lacks=(_NO_IDS, "trades have no numbers: they are numbered by their time")),
    "coinbase": Venue(
        "tickers", lacks=(_NO_IDS, "quotes come with the ticker, not with every change, and have no time")
    ),
    "bitstamp": Venue(
        "",
        lacks=(
            _NO_IDS,
            "there are no quotes",
            "the exchange's time is not told: this machine's is taken for it",
        ),
    ),
}
"""By ccxt's names. Only Binance is known to number trades without holes."""


def redirected(urls: Any, endpoint: str) -> Any:
    """ccxt's tree of addresses with scheme, host and port replaced and paths kept.

    At Binance the path says which market a socket is of: spot's must hold /stream, which its own host has in its name.
    """
    if isinstance(urls, dict):
        return {key: redirected(value, endpoint) for key, value in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    old = urlsplit(urls)
    base = urlsplit(websocket_of(endpoint) if old.scheme.startswith("ws") else endpoint)
    path = old.path.rstrip("/")
    if (
        old.scheme.startswith("ws")
        and "stream" in old.netloc
        and "binance" in old.netloc
        and "fstream" not in old.netloc
    ):
        path = f"/stream{path}"
    return urlunsplit((base.scheme, base.netloc, path, old.query, ""))


def usable(markets: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Symbols that can be traded here: spot, and perpetuals that settle in the quote currency."""
    return {
        symbol: symbol
        for symbol, m in markets.items()
        if m.get("spot") or (m.get("swap") and m.get("linear"))
    }


def market_of(name: str, m: Mapping[str, Any]) -> Market:
    """What ccxt says about one symbol, whose steps it gives as numbers (TICK_SIZE)."""
    venue = VENUES[name]
    least, step = m["limits"], m["precision"]
    size = float(m.get("contractSize") or 1.0) if m.get("contract") else 1.0
    return Market(
        exchange=name,
        symbol=m["symbol"],
        native=m["id"],
        base=m["base"],
        quote=m["quote"],
        tick=float(step["price"] or 0.0),
        lot=float(step["amount"] or 0.0) * size,
        least_qty=float((least.get("amount") or {}).get("min") or 0.0) * size,
        least_notional=float((least.get("cost") or {}).get("min") or 0.0),
        taker_bp=round(float(m.get("taker") or 0.0) * 1e4, 6),
        perpetual=bool(m.get("swap")),
        dense=venue.dense,
        quotes=bool(venue.quotes),
        lacks=venue.lacks,
    )
