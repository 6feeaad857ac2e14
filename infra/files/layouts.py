"""The layouts of tables that have names for their columns: one entry a vendor, then the common names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from windvane.infra.files.errors import InputError
from windvane.infra.files.names import ALIASES, MAYBE_SIDES, SYMBOLS, marks_end, marks_start, plain_name
from windvane.infra.files.reading import Reading
from windvane.infra.files.tables import Table
from windvane.infra.files.timestamps import are_clocks, are_times, plain_column
from windvane.infra.files.values import SIDE_WORDS, words_of

Kind = Literal["bars", "trades", "ticks"]
Stamp = Literal["open", "close"]
Side = Literal["taker", "unsure"]

NEEDED = (
    "bars (ts, open, high, low, close, volume), trades (ts, price, qty, side) "
    "or ticks (ts, price, size, bid, ask)"
)
_ANY = re.compile(r"^(unnamed_\d+|index|index_level_\d+)?$")


@dataclass(frozen=True, slots=True)
class Format:
    """How a table is read.

    name: what people call it. roles: the position of the column that plays each part. stamp: what the time of a bar
    marks. side: "taker" where the side is that of the aggressor, "unsure" where it may be the other's. why: what it
    was recognised by. named: whether a person named the columns.
    """

    name: str
    kind: Kind
    roles: dict[str, int]
    stamp: Stamp = "open"
    side: Side = "taker"
    why: str = "the names of its columns"
    named: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """What one vendor writes. marks: names, in plain form, that a table must have to be recognised.

    roles: the columns that play a part otherwise than their names say, None for a part that no column plays.
    only: whether the table has no other columns. note: what a person may not expect.
    """

    name: str
    kind: Kind
    marks: frozenset[str]
    roles: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    stamp: Stamp = "open"
    side: Side = "taker"
    only: bool = False
    note: str = ""


def _layout(name: str, kind: Kind, marks: str, note: str = "", **roles: str | None) -> Layout:
    stamp: Any = roles.pop("stamp", "open")
    return Layout(name, kind, frozenset(marks.split()), MappingProxyType(roles), stamp=stamp, note=note)


LAYOUTS: tuple[Layout, ...] = (
    _layout(
        "BitMEX bins",
        "bars",
        "close home_notional foreign_notional",
        "BitMEX stamps the end of a bin, its volume counts contracts, and homeNotional is the volume in the coin",
        stamp="close",
        size="home_notional",
    ),
    _layout(
        "BitMEX bins",
        "bars",
        "close last_size turnover vwap",
        "BitMEX stamps the end of a bin, and its volume counts contracts: not used",
        stamp="close",
        size=None,
    ),
    _layout(
        "BitMEX or Bybit trades",
        "trades",
        "price side home_notional",
        "size may count contracts, so homeNotional, the size in the coin, is used",
        size="home_notional",
    ),
    _layout(
        "CoinAPI bars",
        "bars",
        "time_period_start price_close",
        open="price_open",
        high="price_high",
        low="price_low",
        close="price_close",
        size="volume_traded",
    ),
    _layout(
        "CoinMarketCap bars",
        "bars",
        "time_open time_close market_cap",
        "CoinMarketCap's volume is in the currency of the price, of all venues: not used",
        size=None,
    ),
    _layout("Huobi candles", "bars", "id open close low high vol amount count", ts="id", size="amount"),
    _layout("Nautilus bars", "bars", "ts_event ts_init open close", ts="ts_event", stamp="close"),
    _layout("Databento bars", "bars", "ts_event rtype open close", ts="ts_event"),
    _layout("Databento trades", "trades", "ts_event action side price size", ts="ts_event", id=None),
    _layout("MetaTrader bars", "bars", "date time open high low close tickvol"),
    _layout("MetaTrader bars", "bars", "date open high low close tickvol"),
    _layout("Poloniex candles", "bars", "weighted_average volume quote_volume close", size="quote_volume"),
    _layout("Investing.com prices", "bars", "date price open high low vol change", close="price"),
    _layout("Tardis trades", "trades", "exchange symbol timestamp local_timestamp id side price amount"),
    _layout("freqtrade trades", "trades", "timestamp id type side price amount cost"),
    Layout(
        "Coinbase Exchange trades",
        "trades",
        frozenset(("time", "trade_id", "price", "size", "side")),
        side="unsure",
        only=True,
    ),
)


def recognise(file: str, table: Table, reading: Reading) -> Format:
    """The format of a table with a header; InputError, which names the options, where its columns are not known."""
    names = table.names or []
    plain = [plain_name(name) for name in names]
    if reading.named:
        return _as_named(file, table, plain, reading)
    refuse_books(file, table, plain)
    roles = _roles(table, plain)
    layout = next(
        (one for one in LAYOUTS if one.marks <= set(plain) and (not one.only or one.marks == set(plain))),
        None,
    )
    if layout is not None:
        for part, name in layout.roles.items():
            roles.pop(part, None)
            if name is not None and name in plain:
                roles[part] = plain.index(name)
    _find_times(table, plain, roles)
    if layout is not None and {"ts", "close_ts", "clock"} & roles.keys():
        if layout.note:
            table.notes.append(layout.note)
        if layout.kind == "bars":
            roles.pop("price", None)
        why = f"its columns {', '.join(sorted(layout.marks))}"
        return Format(layout.name, layout.kind, roles, layout.stamp, layout.side, why)
    if (found := _common(names, plain, roles)) is not None:
        return found
    if not {"ts", "close_ts", "clock"} & roles.keys() and {"close", "price", "bid"} & roles.keys():
        raise InputError(
            f"{file} has the columns {_listed(names)}, and none of them alone holds times: needed are "
            f"{NEEDED}: say which with --columns, such as --columns ts={_listed(names[:1])},close=..."
        )
    raise InputError(f"{file} has the columns {_listed(names)}: needed are {NEEDED}, or --columns")


def _listed(names: list[str]) -> str:
    return ", ".join(name or "(no name)" for name in names[:40])


def _roles(table: Table, plain: list[str]) -> dict[str, int]:
    """The first alias of each part that is there; a name in just this case goes before one in another (t, T)."""
    names = table.names or []
    roles: dict[str, int] = {}
    for role, aliases in ALIASES.items():
        for alias in aliases:
            if alias in plain:
                roles[role] = names.index(alias) if alias in names else plain.index(alias)
                break
    symbol = next((plain.index(name) for name in SYMBOLS if name in plain), None)
    if symbol is not None:
        roles["symbol"] = symbol
    for role, marked in (("ts", marks_start), ("close_ts", marks_end)):
        named = (k for k, name in enumerate(plain) if k not in roles.values() and marked(name))
        if role not in roles or plain[roles[role]] in ("time", "timestamp", "ts", "date", "datetime", "t"):
            place = next((k for k in named if are_times(table.columns[k])), None)
            if place is not None:
                roles[role] = place
    if "side" not in roles and "maker" not in roles:
        for name in MAYBE_SIDES:
            if name in plain and _is_side(table.columns[plain.index(name)]):
                roles["side"] = plain.index(name)
                break
    return roles


def _is_side(column: Any) -> bool:
    """Whether a column holds words, or codes, of two sides."""
    words = set(words_of(plain_column(column.slice(0, 1000)))[0]) - {"none", "nan", ""}
    return len(words) > 1 and words <= SIDE_WORDS


def _find_times(table: Table, plain: list[str], roles: dict[str, int]) -> None:
    """Date and clock in two columns; where no name says times, the only column that holds them."""
    clocks = [
        k for k in (roles.get("ts", -1), *(plain.index(n) for n in ("time", "clock") if n in plain)) if k >= 0
    ]
    clock = next((k for k in clocks if are_clocks(table.columns[k])), None)
    if clock is not None:
        dates = [
            plain.index(name) for name in ("date", "day") if name in plain and plain.index(name) != clock
        ]
        dates = dates or [k for k in range(len(plain)) if k != clock and _ANY.match(plain[k])]
        dates = [k for k in dates if are_times(table.columns[k])]
        if dates:
            roles["ts"], roles["clock"] = dates[0], clock
    if {"ts", "close_ts"} & roles.keys():
        return
    free = [k for k in range(len(plain)) if k not in roles.values()]
    holders = [k for k in free if are_times(table.columns[k])]
    unnamed = [k for k in holders if _ANY.match(plain[k])]
    if len(unnamed) == 1 or len(holders) == 1:
        roles["ts"] = (unnamed if len(unnamed) == 1 else holders)[0]
        name = (table.names or [])[roles["ts"]]
        table.notes.append(f"column {name or '(no name)'} is the only one that holds times")
    elif not holders and "price" in roles and "close" in roles and are_times(table.columns[roles["price"]]):
        roles["ts"] = roles.pop("price")  # what yfinance writes above its index


def _common(names: list[str], plain: list[str], roles: dict[str, int]) -> Format | None:
    """The format that the common names make."""
    has = roles.keys()
    if not {"ts", "close_ts"} & has:
        return None
    if {"open", "high", "low", "price"} <= has and "close" not in has:
        roles["close"] = roles["price"]
    if "close" in has:
        name = "Binance klines" if {"close_ts", "buy_size"} <= has else "bars"
        if name == "bars" and names[roles.get("ts", 0)] == "date":
            name = "freqtrade bars"
        roles.pop("price", None)
        return Format(name, "bars", roles)
    if {"bc", "ac", "bo", "ao"} <= set(plain):
        return Format("quote bars", "bars", roles)
    if "ts" in has and "price" in has:
        if {"maker", "id"} <= has:
            name = "Binance trades" if plain[roles["id"]] == "id" else "Binance aggTrades"
            return Format(name, "trades", roles)
        sized = "size" in has and plain[roles["size"]] not in ("size", "volume", "vol", "v")
        if "side" in has or "id" in has or (sized and "bid" not in has):
            return Format("trades", "trades", roles)
        return Format("ticks", "ticks", roles)
    if "ts" in has and {"bid", "ask"} <= has:
        return Format("quotes", "ticks", roles)
    return None


def _as_named(file: str, table: Table, plain: list[str], reading: Reading) -> Format:
    """As a person says with `part=name`; the other columns are not read."""
    missing = [name for name in reading.named.values() if name not in plain]
    if missing:
        raise InputError(
            f"--columns names {missing[0]!r}, and {file} has the columns {_listed(table.names or [])}"
        )
    return as_told(file, {part: plain.index(name) for part, name in reading.named.items()}, reading)


def as_told(file: str, roles: dict[str, int], reading: Reading) -> Format:
    """The format of columns that a person named."""
    if "date" in roles:
        roles["ts"] = roles.pop("date")
    if not {"ts", "close_ts"} & roles.keys():
        raise InputError(f"--columns names no column of times in {file}: name one of them ts")
    name = reading.name or "as --columns says"
    if {"high", "low"} <= roles.keys() and "price" in roles and "close" not in roles:
        roles["close"] = roles.pop("price")
    if "close" in roles:
        kind: Kind = "bars"
    elif "price" in roles:
        kind = "ticks" if {"bid", "ask"} & roles.keys() else "trades"
    elif {"bid", "ask"} <= roles.keys():
        kind = "ticks"
    else:
        raise InputError(f"--columns names neither close nor price in {file}: name the column of prices")
    return Format(name, kind, roles, why="the columns that were named", named=True)


_LEVEL = re.compile(
    r"^(ask|bid)s?_?(price|px|amount|qty|size|sz|ct)?_?\d+(_(price|px|amount|qty|size|sz|ct))?$"
)


def refuse_books(file: str, table: Table, plain: list[str]) -> None:
    """Rows of an order book are no trades: somebody offered, and nobody has taken yet."""
    has = set(plain)
    messages = (
        {"action", "direction"} <= has
        or {"kind", "price", "msg"} <= has
        or {"update_type", "is_snapshot", "first_update_id", "changes", "pu"} & has
        or {"bids", "asks"} <= has
        or {"ev", "exch_ts", "local_ts"} <= has
        or (
            {"level", "depth", "position"} & has and {"side", "price"} <= has and not {"trade_id", "id"} & has
        )
        or sum(_LEVEL.match(name) is not None for name in plain) >= 4
        or (
            "order_id" in has
            and bool({"action", "event", "event_type", "type"} & has)
            and not _trades_only(table, plain)
        )
        or ({"ts_event", "action"} <= has and not _trades_only(table, plain))
    )
    if messages:
        raise InputError(book_sentence(file))


def book_sentence(file: str, why: str = "") -> str:
    """Why a file of book updates cannot be read, and what can be given instead."""
    return (
        f"{file} holds raw order-book messages{why}: rebuild the book from them and give ticks "
        "(ts, price, size, bid, ask)"
    )


def _trades_only(table: Table, plain: list[str]) -> bool:
    """Whether the column that tells kinds of messages apart says that all are trades."""
    name = next(n for n in ("action", "event", "event_type", "type") if n in plain)
    words = {str(word).strip().lower() for word in table.columns[plain.index(name)].unique().to_pylist()}
    return words <= {"t", "trade", "trades", "match"}
