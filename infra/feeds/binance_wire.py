"""Binance's bytes, spot and USD-M futures: frames and answers as typed values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from windvane.infra.feeds.feed import Kline, Market, Quote, Trade

MS = 1_000_000
INTERVALS = {
    **{f"{n}m": n * 60_000 * MS for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": n * 3_600_000 * MS for n in (1, 2, 4, 6, 8, 12)},
    "1d": 86_400_000 * MS,
}
"""Bars that both publish, in ns; spot has 1s as well."""


@dataclass(frozen=True, slots=True)
class Venue:
    """What differs between the two: addresses, paths, fees, and how many sockets there are.

    sockets: a path and the streams read on it. taker_bp: the fee without discounts; exchangeInfo does not say it.
    """

    name: str
    rest: str
    websocket: str
    prefix: str
    sockets: tuple[tuple[str, tuple[str, ...]], ...]
    taker_bp: float
    perpetual: bool
    most_klines: int


VENUES = {
    "binance": Venue(
        "binance",
        "https://api.binance.com",
        "wss://stream.binance.com:9443",
        "/api/v3",
        (("/stream", ("aggTrade", "bookTicker")),),
        taker_bp=10.0,
        perpetual=False,
        most_klines=1000,
    ),
    "binanceusdm": Venue(
        "binanceusdm",
        "https://fapi.binance.com",
        "wss://fstream.binance.com",
        "/fapi/v1",
        (("/public/stream", ("bookTicker",)), ("/market/stream", ("aggTrade",))),
        taker_bp=5.0,
        perpetual=True,
        most_klines=1500,
    ),
}


class _AggTrade(msgspec.Struct, gc=False):
    a: int
    p: float
    q: float
    T: int
    m: bool


class _BookTicker(msgspec.Struct, gc=False):
    u: int
    b: float
    B: float
    a: float
    A: float
    T: int = 0


class _Envelope(msgspec.Struct, gc=False):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    e: str = ""


class _Event(msgspec.Struct, gc=False):
    e: str = ""


_envelope = msgspec.json.Decoder(_Envelope)
_agg_trade = msgspec.json.Decoder(_AggTrade, strict=False)
_book_ticker = msgspec.json.Decoder(_BookTicker, strict=False)
_event = msgspec.json.Decoder(_Event)
_agg_trades = msgspec.json.Decoder(list[_AggTrade], strict=False)


class Ticker(msgspec.Struct, gc=False):
    """A quote and the exchange's number of the update: an update that is not newer is a repetition."""

    update: int
    quote: Quote


SHUTDOWN = "serverShutdown"


def parse_frame(frame: bytes, received: int, now: Callable[[], int]) -> Trade | Ticker | str:
    """Return the trade or quote of a frame, else the name of its event, "" for an answer to a subscription.

    received: ns, this machine's clock. now: gives the estimate of the exchange's, for quotes that come without a time.
    Raises msgspec.DecodeError (a ValidationError is one) where it is neither.
    """
    envelope = _envelope.decode(frame)
    stream = envelope.stream
    if stream.endswith("@aggTrade"):
        t = _agg_trade.decode(envelope.data)
        return Trade(t.a, t.T * MS, t.p, t.q, not t.m, received)
    if stream.endswith("@bookTicker"):
        b = _book_ticker.decode(envelope.data)
        return Ticker(b.u, Quote(b.T * MS if b.T else now(), b.b, b.a, b.B, b.A, received))
    return envelope.e or (_event.decode(envelope.data).e if stream else "")


def parse_trades(body: bytes) -> list[Trade]:
    """Trades of an answer to aggTrades, oldest first; raises msgspec.DecodeError where it is none."""
    return [Trade(t.a, t.T * MS, t.p, t.q, not t.m) for t in _agg_trades.decode(body)]


def parse_klines(body: bytes) -> list[Kline]:
    """Bars of an answer to klines, oldest first, the unfinished last one included."""
    rows = msgspec.json.decode(body, type=list[list[float]], strict=False)
    return [Kline(int(r[0]) * MS, r[1], r[2], r[3], r[4], r[5], r[9]) for r in rows]


def parse_time(body: bytes) -> int:
    """ns, the exchange's time."""
    return int(msgspec.json.decode(body, type=dict[str, int])["serverTime"]) * MS


class _Symbol(msgspec.Struct):
    symbol: str
    baseAsset: str  # noqa: N815 - the exchange's names
    quoteAsset: str  # noqa: N815
    status: str = "TRADING"
    contractType: str = "PERPETUAL"  # noqa: N815
    marginAsset: str = ""  # noqa: N815
    filters: list[dict[str, object]] = []


class _Info(msgspec.Struct):
    symbols: list[_Symbol]


def parse_symbols(body: bytes) -> dict[str, _Symbol]:
    """Symbols of an answer to exchangeInfo, by the way people write them; dated futures are left out."""
    symbols = msgspec.json.decode(body, type=_Info).symbols
    found = {}
    for s in symbols:
        if s.contractType == "PERPETUAL":
            settled = f":{s.marginAsset}" if s.marginAsset else ""
            found[f"{s.baseAsset}/{s.quoteAsset}{settled}"] = s
    return found


def market_of(symbol: str, s: _Symbol, venue: Venue) -> Market:
    """What exchangeInfo says about one symbol."""

    def rule(names: tuple[str, ...], *keys: str) -> float:
        values = (f[key] for f in s.filters if f.get("filterType") in names for key in keys if key in f)
        return next((float(str(value)) for value in values), 0.0)

    return Market(
        exchange=venue.name,
        symbol=symbol,
        native=s.symbol,
        base=s.baseAsset,
        quote=s.quoteAsset,
        tick=rule(("PRICE_FILTER",), "tickSize"),
        lot=rule(("LOT_SIZE",), "stepSize"),
        least_qty=rule(("LOT_SIZE",), "minQty"),
        least_notional=rule(("NOTIONAL", "MIN_NOTIONAL"), "minNotional", "notional"),
        taker_bp=venue.taker_bp,
        perpetual=venue.perpetual,
        lacks=()
        if venue.perpetual
        else ("quotes have no time of the exchange: that of their arrival is taken",),
    )


def inactive(s: _Symbol) -> str:
    """The state of a symbol that does not trade, "" of one that does."""
    return "" if s.status == "TRADING" else s.status


def urls(venue: Venue, websocket: str, native: str) -> Iterator[tuple[str, bool]]:
    """Addresses to connect to, and whether quotes come on each."""
    for path, streams in venue.sockets:
        names = "/".join(f"{native.lower()}@{stream}" for stream in streams)
        yield f"{websocket}{path}?streams={names}", "bookTicker" in streams


def stream_of(frame: bytes) -> str:
    """The stream that a frame names, "" where it names none or cannot be read."""
    try:
        return _envelope.decode(frame).stream
    except msgspec.DecodeError:
        return ""
