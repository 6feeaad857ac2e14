"""ccxt's handlers hand every item on, for each exchange: with messages as its documentation shows them today."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

ccxt_pro = pytest.importorskip("ccxt.pro", reason="ccxt is missing: pip install 'windvane[live]'")

from windvane.infra.feeds.ccxt_taps import Guard, tap  # noqa: E402 - it needs ccxt
from windvane.infra.feeds.ccxt_venues import VENUES, market_of, redirected, usable  # noqa: E402

IDS = {
    "kraken": "XBTUSDT",
    "okx": "BTC-USDT",
    "bybit": "BTCUSDT",
    "coinbase": "BTC-USDT",
    "bitstamp": "btcusdt",
}
URLS = {"bybit": "wss://stream.bybit.com/v5/public/spot"}
FIRST = 10_000
"""ccxt sorts the trades of one message by their ids as texts, so these have the same number of digits."""
TS = 1_700_000_000_123


def trades_of(name: str, n: int) -> list[dict[str, Any]]:
    """One message with n trades, ids rising from FIRST, or n messages where a message holds one."""
    numbers = range(FIRST, FIRST + n)
    if name == "kraken":
        data = [
            {"symbol": "BTC/USDT", "side": "sell", "price": 60000.1, "qty": 0.5, "ord_type": "market", "trade_id": k,
             "timestamp": "2023-11-14T22:13:20.123000Z"}
            for k in numbers
        ]  # fmt: skip
        return [{"channel": "trade", "type": "update", "data": data}]
    if name == "okx":
        rows = [
            {
                "instId": "BTC-USDT",
                "tradeId": str(k),
                "px": "60000.1",
                "sz": "0.5",
                "side": "sell",
                "ts": str(TS),
            }
            for k in numbers
        ]
        return [{"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": rows}]
    if name == "bybit":
        data = [
            {
                "T": TS,
                "s": "BTCUSDT",
                "S": "Sell",
                "v": "0.5",
                "p": "60000.1",
                "L": "ZeroTick",
                "i": str(k),
                "BT": False,
            }
            for k in numbers
        ]
        return [{"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": TS, "data": data}]
    if name == "coinbase":
        data = [
            {"trade_id": str(k), "product_id": "BTC-USDT", "price": "60000.1", "size": "0.5", "side": "SELL",
             "time": "2023-11-14T22:13:20.123Z"}
            for k in reversed(numbers)
        ]  # fmt: skip
        return [
            {"channel": "market_trades", "sequence_num": 0, "events": [{"type": "update", "trades": data}]}
        ]
    return [
        {
            "event": "trade",
            "channel": "live_trades_btcusdt",
            "data": {"id": k, "timestamp": "1700000000", "microtimestamp": "1700000000123000", "amount": 0.5,
                     "amount_str": "0.5", "price": 60000.1, "price_str": "60000.1", "type": 1},
        }
        for k in numbers
    ]  # fmt: skip


QUOTES: dict[str, dict[str, Any]] = {
    "kraken": {"channel": "ticker", "type": "update", "data": [
        {"symbol": "BTC/USDT", "bid": 60000.0, "bid_qty": 1.5, "ask": 60000.1, "ask_qty": 2.5, "last": 60000.1}]},
    "okx": {"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT"}, "data": [
        {"asks": [["60000.1", "2.5", "0", "1"]], "bids": [["60000", "1.5", "0", "1"]], "ts": str(TS)}]},
    "bybit": {"topic": "orderbook.1.BTCUSDT", "type": "snapshot", "ts": TS, "data": {
        "s": "BTCUSDT", "b": [["60000", "1.5"]], "a": [["60000.1", "2.5"]], "u": 1, "seq": 1}},
    "coinbase": {"channel": "ticker", "sequence_num": 0, "events": [{"type": "update", "tickers": [
        {"type": "ticker", "product_id": "BTC-USDT", "price": "60000.1", "best_bid": "60000",
         "best_bid_quantity": "1.5", "best_ask": "60000.1", "best_ask_quantity": "2.5"}]}]},
}  # fmt: skip


def exchange_of(name: str) -> Any:
    exchange = getattr(ccxt_pro, name)()
    market = {
        "id": IDS[name], "symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
        "type": "spot", "spot": True, "swap": False, "contract": False, "active": True, "taker": 0.0026,
        "precision": {"price": 0.1, "amount": 0.0001}, "limits": {"amount": {"min": 0.001}, "cost": {"min": 5.0}},
    }  # fmt: skip
    exchange.set_markets([exchange.safe_market_structure(market)])
    if name == "bitstamp":
        exchange.options["handleTrade"] = True
    return exchange


def client_of(name: str) -> Any:
    return SimpleNamespace(
        url=URLS.get(name, "wss://example"),
        subscriptions={},
        futures={},
        resolve=lambda *_: None,
        reject=lambda *_: None,
    )


@pytest.mark.parametrize("name", IDS)
def test_every_trade_and_quote_is_handed_on(name: str) -> None:
    async def work() -> None:
        exchange, trades, quotes = exchange_of(name), [], []
        tap(exchange, VENUES[name].quotes, trades.append, quotes.append)
        client = client_of(name)
        for message in trades_of(name, 2_000):
            exchange.handle_message(client, message)
        assert [int(trade["id"]) for trade in trades] == list(range(FIRST, FIRST + 2_000))
        assert {(t["price"], t["amount"], t["side"], t["timestamp"]) for t in trades} == {
            (60000.1, 0.5, "sell", TS)
        }
        if name in QUOTES:
            for _ in range(3):
                exchange.handle_message(client, QUOTES[name])
            found = [(q["bid"], q["bidVolume"], q["ask"], q["askVolume"]) for q in quotes]
            assert found == [(60000.0, 1.5, 60000.1, 2.5)] * 3
        else:
            assert not VENUES[name].quotes
            assert any("no quotes" in sentence for sentence in VENUES[name].lacks)
        await exchange.close()

    asyncio.run(work())


@pytest.mark.parametrize("name", VENUES)
def test_every_address_is_replaced(name: str) -> None:
    def leaves(tree: Any) -> list[str]:
        return [leaf for sub in tree.values() for leaf in leaves(sub)] if isinstance(tree, dict) else [tree]

    async def work() -> None:
        exchange = getattr(ccxt_pro, name)()
        found = [url for url in leaves(redirected(exchange.urls["api"], "http://127.0.0.1:9")) if url]
        assert {url.split("/")[2] for url in found} == {"127.0.0.1:9"}
        assert {url.partition(":")[0] for url in found} == {"http", "ws"}
        assert not [url for url in found if url.endswith("/")]
        await exchange.close()

    asyncio.run(work())


def test_rules_of_a_symbol_are_taken_over_and_contracts_counted_in_coins() -> None:
    m = {
        "symbol": "BTC/USDT:USDT", "id": "BTC-USDT-SWAP", "base": "BTC", "quote": "USDT", "contract": True,
        "contractSize": 0.01, "swap": True, "linear": True, "taker": 0.0005, "precision": {"price": 0.1, "amount": 0.1},
        "limits": {"amount": {"min": 0.1}, "cost": {"min": None}},
    }  # fmt: skip
    market = market_of("okx", m)
    assert (market.lot, market.least_qty, market.least_notional) == (
        pytest.approx(0.001),
        pytest.approx(0.001),
        0.0,
    )
    assert (market.taker_bp, market.perpetual, market.dense) == (5.0, True, False)
    inverse = {"symbol": "BTC/USD:BTC", "swap": True, "linear": False}
    assert usable({"BTC/USDT:USDT": m, "BTC/USD:BTC": inverse}) == {"BTC/USDT:USDT": "BTC/USDT:USDT"}


def test_a_handler_that_raises_silences_nothing() -> None:
    garbage: list[int] = []
    seen: list[str] = []
    socket = SimpleNamespace(url="wss://x", error=None, connection=None, handle_message=lambda message: 1 / 0)
    exchange = SimpleNamespace(client=lambda url: socket)
    guard = Guard(exchange, lambda: garbage.append(1), seen.append)
    exchange.client("wss://x").handle_message(SimpleNamespace(type=1, data="{"))
    exchange.client("wss://x").handle_message(SimpleNamespace(type=1, data="{"))
    assert (len(garbage), seen, len(guard.sockets)) == (2, ["wss://x"], 1)
    with pytest.raises(ZeroDivisionError):
        exchange.client("wss://x").handle_message(SimpleNamespace(type=8, data=1000))
