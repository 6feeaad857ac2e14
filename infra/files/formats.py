"""Which format a table has, and which of its columns plays which part."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from windvane.infra.files.errors import InputError
from windvane.infra.files.tables import Table

Kind = Literal["bars", "trades", "ticks"]

ALIASES: dict[str, tuple[str, ...]] = {
    "ts": (
        "ts",
        "time",
        "timestamp",
        "open_time",
        "opentime",
        "time_open",
        "start_time",
        "unix",
        "unix_timestamp",
        "transact_time",
        "trade_time",
        "event_time",
        "time_period_start",
        "datetime",
        "date_time",
        "date",
    ),
    "close_ts": ("close_time", "closetime", "time_close", "end_time", "time_period_end"),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "price": ("price", "p", "last", "last_price", "trade_price"),
    "size": (
        "size",
        "volume",
        "qty",
        "quantity",
        "amount",
        "vol",
        "v",
        "base_volume",
        "volume_btc",
        "volume_base",
        "last_size",
        "q",
    ),
    "bid": ("bid", "bid_price", "best_bid", "best_bid_price", "bc"),
    "ask": ("ask", "ask_price", "best_ask", "best_ask_price", "ac"),
    "bid_size": ("bid_size", "bid_qty", "bid_amount", "best_bid_size", "best_bid_qty", "bsz"),
    "ask_size": ("ask_size", "ask_qty", "ask_amount", "best_ask_size", "best_ask_qty", "asz"),
    "buy_size": (
        "buy_size",
        "buy_volume",
        "taker_buy_volume",
        "taker_buy_base",
        "taker_buy_base_volume",
        "taker_base_volume",
        "taker_buy_base_asset_volume",
    ),
    "side": ("side", "aggressor", "aggressor_side", "taker_side"),
    "maker": ("is_buyer_maker", "isbuyermaker", "buyer_is_maker", "m"),
    "id": ("agg_id", "agg_trade_id", "trade_id", "id", "a"),
    "regime": ("regime", "true_regime", "regime_label"),
    "bid_high": ("bh",),
    "bid_low": ("bl",),
    "ask_high": ("ah",),
    "ask_low": ("al",),
}

_NEEDED = (
    "bars (ts, open, high, low, close, volume), trades (ts, price, qty, side) "
    "or ticks (ts, price, size, bid, ask)"
)


@dataclass(frozen=True, slots=True)
class Format:
    """What a table is, and where its columns are."""

    name: str  # what people call it
    kind: Kind
    roles: dict[str, int]  # part -> position of the column that plays it


def recognise(file: str, table: Table) -> Format:
    """The format of a table, by its header or, without one, by the shape of its rows; raises InputError for none."""
    if table.names is None:
        return _headerless(file, table)
    plain = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in table.names]
    _refuse_books(file, plain)
    roles = {
        role: plain.index(alias)
        for role, aliases in ALIASES.items()
        if (alias := next((a for a in aliases if a in plain), None)) is not None
    }
    has = roles.keys()
    if "ts" in has or "close_ts" in has:
        if "close" in has:
            name = "Binance klines" if {"close_ts", "buy_size"} <= has else "bars"
            if name == "bars" and table.names[roles.get("ts", 0)] == "date":
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
    raise InputError(f"{file} has the columns {', '.join(table.names)}: needed are {_NEEDED}")


def _refuse_books(file: str, plain: list[str]) -> None:
    """Raises InputError for messages about an order book, from which a book must be rebuilt first."""
    if (
        {"action", "direction"} <= set(plain)
        or {"kind", "price", "msg"} <= set(plain)
        or "update_type" in plain
    ):
        raise InputError(
            f"{file} holds raw order-book messages: rebuild the book from them and give ticks "
            "(ts, price, size, bid, ask)"
        )


def _headerless(file: str, table: Table) -> Format:
    """The format of a table without a header, by how many columns it has and where its flags are."""
    width = len(table.columns)
    flags = [k for k, column in enumerate(table.columns) if _is_flag(column)]
    ohlcv = {"ts": 0, "open": 1, "high": 2, "low": 3, "close": 4, "size": 5}
    if width in (11, 12) and not flags:
        return Format("Binance klines", "bars", {**ohlcv, "close_ts": 6, "buy_size": 9})
    if width in (7, 8) and flags and flags[0] == 6:
        return Format("Binance aggTrades", "trades", {"id": 0, "price": 1, "size": 2, "ts": 5, "maker": 6})
    if width in (6, 7) and flags and flags[0] == 5:
        return Format("Binance trades", "trades", {"id": 0, "price": 1, "size": 2, "ts": 4, "maker": 5})
    if width in (6, 7, 8) and not flags:
        return Format("bars without a header", "bars", ohlcv)
    if width == 3 and not flags:
        return Format("trades without a header", "trades", {"ts": 0, "price": 1, "size": 2})
    raise InputError(
        f"{file} has no header and {width} columns, which is no known dump: needed are {_NEEDED}"
    )


def _is_flag(column: Any) -> bool:
    """Whether a column mostly holds true and false."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        return True
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    sample = [str(value).strip().lower() in ("true", "false") for value in column.slice(0, 1000).to_pylist()]
    return sum(sample) * 2 > len(sample)
