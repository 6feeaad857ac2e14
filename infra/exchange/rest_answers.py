"""What the local exchange answers over REST: symbols, the time, trades by id and by time, bars."""

from __future__ import annotations

from collections.abc import Mapping

from windvane.infra.exchange.market import Market
from windvane.infra.feeds.binance_wire import INTERVALS

MS = 1_000_000
Answer = tuple[int, object]
"""A status, and what is written as JSON."""


def server_time(market: Market, off: float) -> Answer:
    """The exchange's time, `off` seconds wrong."""
    return 200, {"serverTime": (market.now() + int(off * 1e9)) // MS}


def exchange_info(market: Market) -> Answer:
    """The one symbol that is served, with the rules that Binance had for it in 2024."""
    capture = market.capture
    common = {
        "symbol": capture.native,
        "status": "TRADING",
        "baseAsset": capture.base,
        "quoteAsset": capture.quote,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
    }
    if capture.exchange == "binance":
        symbol = common | {
            "quoteAssetPrecision": 8,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": True,
            "permissions": ["SPOT"],
            "permissionSets": [["SPOT"]],
            "filters": _filters("0.01000000", "0.00001000", "NOTIONAL", {"minNotional": "5.00000000"}),
        }
    else:
        symbol = common | {
            "pair": capture.native,
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "marginAsset": capture.quote,
            "pricePrecision": 2,
            "quantityPrecision": 3,
            "underlyingType": "COIN",
            "timeInForce": ["GTC", "IOC", "FOK"],
            "filters": _filters("0.10", "0.001", "MIN_NOTIONAL", {"notional": "100"}),
        }
    return 200, {
        "timezone": "UTC",
        "serverTime": market.now() // MS,
        "rateLimits": [],
        "exchangeFilters": [],
        "assets": [],
        "symbols": [symbol],
    }


def _filters(tick: str, lot: str, name: str, least: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": "9000", "stepSize": lot},
        {"filterType": "MARKET_LOT_SIZE", "minQty": lot, "maxQty": "120", "stepSize": lot},
        {"filterType": name, **least},
    ]


def agg_trades(market: Market, query: Mapping[str, str]) -> Answer:
    """Trades from an id or a time on; without either, the latest."""
    if wrong := _wrong(market, query):
        return wrong
    limit, now = min(1000, _number(query, "limit", 500)), market.now()
    if "fromId" in query:
        return 200, market.trades_from(_number(query, "fromId", 0), now, limit)
    if "startTime" in query:
        end = _number(query, "endTime", now // MS)
        if end - _number(query, "startTime", 0) > 3_600_000:
            return 400, {"code": -1127, "msg": "More than 1 hours between startTime and endTime."}
        found = market.trades_from(market.first_since(_number(query, "startTime", 0)), now, limit)
        return 200, [trade for trade in found if int(str(trade["T"])) <= end]
    following = market.first_since(now // MS)
    return 200, market.trades_from(following - limit, now, limit)


def klines(market: Market, query: Mapping[str, str]) -> Answer:
    """Bars of the trades until now, the unfinished last one included; bars without trades are left out."""
    if wrong := _wrong(market, query):
        return wrong
    interval = ({"1s": 1_000_000_000} | INTERVALS).get(query.get("interval", ""), 0) // MS
    if not interval:
        return 400, {"code": -1120, "msg": "Invalid interval."}
    limit = min(1500, _number(query, "limit", 500))
    end = min(_number(query, "endTime", market.now() // MS), market.now() // MS)
    start = _number(query, "startTime", end - limit * interval)
    bars: dict[int, list[float]] = {}
    at = market.first_since(-(-start // interval) * interval)
    while page := market.trades_from(at, market.now(), 1000):
        for trade in page:
            ms = int(str(trade["T"]))
            bar = ms // interval * interval
            if bar > end:
                page = []
                break
            _add(bars, bar, trade)
        if not page or len(bars) > limit:
            break
        at = int(str(page[-1]["a"])) + 1
    return 200, [
        [t, *map(str, b[:5]), t + interval - 1, "0", int(b[6]), str(b[5]), "0", "0"]
        for t, b in sorted(bars.items())[:limit]
    ]


def _add(bars: dict[int, list[float]], at: int, trade: dict[str, object]) -> None:
    price, qty = float(str(trade["p"])), float(str(trade["q"]))
    bar = bars.setdefault(at, [price, price, price, price, 0.0, 0.0, 0.0])
    bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
    bar[4] += qty
    bar[5] += 0.0 if trade["m"] else qty
    bar[6] += 1


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name, "")
    return int(text) if text.lstrip("-").isdecimal() else otherwise


def _wrong(market: Market, query: Mapping[str, str]) -> Answer | None:
    if query.get("symbol") != market.capture.native:
        return 400, {"code": -1121, "msg": "Invalid symbol."}
    return None
