"""A capture served as OKX serves it, as far as ccxt asks: instruments, time, latest trades, and one public socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web

from windvane.infra.exchange.capture import TRADE, Capture
from windvane.infra.exchange.market import Market

NATIVE = "BTC-USDT"
INSTRUMENT = {
    "instId": NATIVE, "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live",
    "tickSz": "0.1", "lotSz": "0.00000001", "minSz": "0.00001", "uly": "", "settleCcy": "", "lever": "10",
}  # fmt: skip
_LATEST = 500
"""Trades that are listed, at most."""


class OkxExchange:
    """url: to give as --endpoint."""

    def __init__(self, whole: Capture, speed: float) -> None:
        self._whole, self.market = whole, Market(whole, speed, 0.0, loop=False)
        self._sockets: set[web.WebSocketResponse] = set()
        self.url = ""
        self.accepted = 0

    async def drop(self) -> None:
        """End all sockets."""
        for socket in list(self._sockets):
            await socket.close()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What a path asks for."""
        if request.path == "/ws/v5/public":
            return await self._socket(request)
        answers = {
            "/api/v5/public/instruments": lambda: [INSTRUMENT] if request.query["instType"] == "SPOT" else [],
            "/api/v5/public/time": lambda: [{"ts": str(self.market.now() // 1_000_000)}],
            "/api/v5/market/trades": self._latest,
        }
        if request.path not in answers:
            return web.json_response({"code": "50000", "msg": "not served", "data": []}, status=404)
        return web.json_response({"code": "0", "msg": "", "data": answers[request.path]()})

    def _latest(self) -> list[dict[str, str]]:
        end = self.market.position(self.market.now())
        rows = [int(self._whole.row[k]) for k in range(end) if self._whole.kind[k] == TRADE]
        return [self._trade(row) for row in reversed(rows[-_LATEST:])]

    def _trade(self, row: int) -> dict[str, str]:
        t = self._whole.trades
        side = "buy" if t.buyer[row] else "sell"
        return {
            "instId": NATIVE, "tradeId": str(t.id[row]), "px": str(t.price[row]), "sz": str(t.qty[row]),
            "side": side, "ts": str(t.ms[row]),
        }  # fmt: skip

    def _quote(self, row: int) -> dict[str, Any]:
        bid, bid_size, ask, ask_size = map(str, self._whole.quotes.values[row].tolist())
        return {
            "bids": [[bid, bid_size, "0", "1"]], "asks": [[ask, ask_size, "0", "1"]],
            "ts": str(self._whole.quotes.ms[row]), "seqId": row,
        }  # fmt: skip

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.accepted += 1
        self._sockets.add(socket)
        channels: set[str] = set()
        sending = asyncio.create_task(self._send(socket, channels))
        try:
            async for message in socket:
                if message.type != WSMsgType.TEXT:
                    continue
                if message.data == "ping":
                    await socket.send_str("pong")
                    continue
                for arg in json.loads(message.data)["args"]:
                    await socket.send_json({"event": "subscribe", "arg": arg, "connId": "1"})
                    channels.add(arg["channel"])
        finally:
            self._sockets.discard(socket)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    async def _send(self, socket: web.WebSocketResponse, channels: set[str]) -> None:
        at = self.market.position(self.market.now())
        with suppress(ConnectionError):
            while True:
                end = min(self.market.position(self.market.now()), len(self._whole.kind))
                for channel, data in self._events(range(at, end)):
                    if channel in channels:
                        await socket.send_json(
                            {"arg": {"channel": channel, "instId": NATIVE}, "data": [data]}
                        )
                at = end
                await asyncio.sleep(0.005)

    def _events(self, places: range) -> Iterator[tuple[str, dict[str, Any]]]:
        for place in places:
            row = int(self._whole.row[place])
            if self._whole.kind[place] == TRADE:
                yield "trades", self._trade(row)
            else:
                yield "bbo-tbt", self._quote(row)


@asynccontextmanager
async def okx(whole: Capture, speed: float) -> AsyncIterator[OkxExchange]:
    """Serve until the block ends."""
    exchange = OkxExchange(whole, speed)
    app = web.Application()
    app.router.add_get("/{path:.*}", exchange.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    exchange.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    exchange.market.start()
    try:
        yield exchange
    finally:
        await runner.cleanup()
