"""What columns are called, and the part that each name plays."""

from __future__ import annotations

import re

ALIASES: dict[str, tuple[str, ...]] = {
    "ts": (
        "ts",
        "open_time",
        "opentime",
        "time_period_start",
        "time_open",
        "start_time",
        "starttime",
        "time",
        "timestamp",
        "unix",
        "unix_timestamp",
        "transact_time",
        "trade_time",
        "event_time",
        "datetime",
        "date_time",
        "date",
        "gmt_time",
        "t",
    ),
    "close_ts": (
        "time_period_end",
        "close_time",
        "closetime",
        "time_close",
        "end_time",
        "endtime",
        "bar_end",
        "period_end",
    ),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price", "max"),
    "low": ("low", "l", "low_price", "min"),
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
        "volumefrom",
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
}
"""Names of each part in plain form; where a table has several, the first of them plays it."""

SYMBOLS = (
    "symbol",
    "ticker",
    "tic",
    "instrument",
    "instrument_id",
    "instrument_name",
    "inst_id",
    "instid",
    "symbol_id",
    "asset",
    "asset_id",
    "coin",
    "coin_id",
    "pair",
    "currency_pair",
    "market",
    "market_id",
    "product",
    "product_id",
    "contract",
    "sym",
    "security",
)
"""Names of a column that says which instrument a row belongs to."""

MAYBE_SIDES = ("type", "direction", "trade_type", "taker_type", "buy_sell", "bs", "ask_bid", "taker_or_maker")
"""Names of a column that may say who took a trade: its words decide."""

_END = re.compile(r"(^|_)(end|close|closing)(_|$)")
_START = re.compile(r"(^|_)(start|begin|open|opening)(_|$)")
_WHEN = re.compile(r"(^|_)(time|timestamp|ts|date|datetime|at|ms|stamp|unix)(_|$)")


def marks_end(name: str) -> bool:
    """Whether a plain name says that its column holds the ends of bars, such as candle_close_time."""
    return name in ("end", "ends") or bool(_END.search(name) and _WHEN.search(name))


def marks_start(name: str) -> bool:
    """Whether a plain name says that its column holds the starts of bars, such as bar_start_ts."""
    return name in ("start", "begin", "starts") or bool(_START.search(name) and _WHEN.search(name))


UNREAD = ("", "-", "_", "ignore", "none")
"""Words for a column that is not to be read."""

ROLE_OF = {name: role for role, names in ALIASES.items() for name in names}
ROLE_OF |= {role: role for role in ALIASES} | {
    "clock": "clock",
    "date": "date",
    "symbol": "symbol",
    "buy": "buy_size",
}

ROLES_SAID = (
    *("ts", "close_time", "open", "high", "low", "close", "price", "volume", "buy_volume", "side"),
    *("is_buyer_maker", "id", "bid", "ask", "bid_size", "ask_size", "symbol", "date and clock"),
)
"""Words that a person may use for the parts."""


def plain_name(name: str) -> str:
    """`homeNotional`, `Home Notional` and `<HOME_NOTIONAL>` as home_notional."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
