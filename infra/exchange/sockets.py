"""Sockets of the local exchange: who subscribed to what, and the sending of it with the faults of the script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from windvane.infra.exchange.faults import Fault, Faults
from windvane.infra.exchange.market import Market, Served

_MOST_SLEEP = 0.02
_CATEGORIES = {"public": ("bookTicker",), "market": ("aggTrade",)}
"""What each of the two sockets of USD-M futures carries."""


@dataclass(eq=False)
class Socket:
    """One connection. combined: whether frames stand in an envelope that names the stream."""

    connection: web.WebSocketResponse
    request: web.Request
    combined: bool
    carries: tuple[str, ...] | None
    streams: set[str] = field(default_factory=set)
    mute: bool = False
    lose: int = 0

    def wants(self, stream: str) -> bool:
        """Whether frames of a stream go out here."""
        return stream in self.streams and (self.carries is None or stream.partition("@")[2] in self.carries)

    def frame(self, served: Served) -> str:
        """The frame of an event."""
        if served.whole:
            return served.data if self.combined else _inner(served.data)
        return f'{{"stream":"{served.stream}","data":{served.data}}}' if self.combined else served.data

    def break_off(self) -> None:
        """End the connection without a word, as a cable does."""
        if self.request.transport is not None:
            self.request.transport.abort()


def _inner(frame: str) -> str:
    try:
        return json.dumps(json.loads(frame)["data"], separators=(",", ":"))
    except (ValueError, KeyError, TypeError):
        return frame


class Sockets:
    """All connections of one exchange."""

    def __init__(self, market: Market, faults: Faults) -> None:
        self._market, self._faults = market, faults
        self.open: set[Socket] = set()
        self.accepted = 0

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Accept a connection, and stay with it to its end."""
        self.accepted += 1
        connection = web.WebSocketResponse(compress=False, heartbeat=None)
        await connection.prepare(request)
        if self._faults.active("slam"):
            await connection.close()
            return connection
        socket = _socket_of(connection, request)
        self.open.add(socket)
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in connection:
                if message.type == WSMsgType.TEXT:
                    await _answer(socket, message.data)
        finally:
            self.open.discard(socket)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return connection

    async def happen(self, fault: Fault) -> None:
        """Do what a fault does at its moment to the connections that are open."""
        for socket in list(self.open):
            if fault.do == "drop":
                socket.break_off()
            elif fault.do == "half-open":
                socket.mute = True
            elif fault.do == "lose":
                socket.lose += fault.count
            elif fault.do == "garbage":
                for _ in range(fault.count):
                    await _put(socket, '{"stream":"' + "\u00a7" * 3)
            elif fault.do == "shutdown":
                await _put(socket, socket.frame(Served("!serverShutdown", '{"e":"serverShutdown"}', False)))
                asyncio.get_running_loop().call_later(fault.lasts, socket.break_off)

    async def _send(self, socket: Socket) -> None:
        """Send what happens from now on, as it happens."""
        market, faults = self._market, self._faults
        at = market.position(market.now())
        while True:
            if not faults.active("pause"):
                end = market.position(market.now())
                batch = [socket.frame(event) for event in self._wanted(socket, range(at, end))]
                at = end
                if faults.active("reorder"):
                    batch[::2], batch[1::2] = _swapped(batch)
                twice = faults.active("duplicate") is not None
                for frame in batch:
                    await _put(socket, frame)
                    if twice:
                        await _put(socket, frame)
            await asyncio.sleep(_MOST_SLEEP / max(1.0, min(market.speed, 4.0)))

    def _wanted(self, socket: Socket, places: range) -> Iterable[Served]:
        if socket.streams:
            for place in places:
                if not self._market.over(place):
                    event = self._market.event(place)
                    if not event.stream or socket.wants(event.stream):
                        if socket.lose and event.trade:
                            socket.lose -= 1
                        else:
                            yield event


def _swapped(batch: list[str]) -> tuple[list[str], list[str]]:
    """Places 0, 2, 4 ... and 1, 3, 5 ... of a batch whose neighbours are exchanged; an odd last one stays."""
    even, odd = batch[::2], batch[1::2]
    return odd + even[len(odd) :], even[: len(odd)]


def _socket_of(connection: web.WebSocketResponse, request: web.Request) -> Socket:
    """What a path asks for: /stream?streams=a/b, /ws/a, /ws and /ws/7 to subscribe on, after /public or /market."""
    parts = [part for part in request.path.split("/") if part]
    carries = _CATEGORIES.get(parts[0]) if parts else None
    socket = Socket(connection, request, parts[-1:] == ["stream"], carries)
    socket.streams |= {name for name in request.query.get("streams", "").split("/") if name}
    socket.streams |= {part for part in parts if "@" in part}
    return socket


async def _answer(socket: Socket, text: str) -> None:
    """Answer SUBSCRIBE and UNSUBSCRIBE."""
    try:
        asked = json.loads(text)
        names = {str(name) for name in asked.get("params", [])}
        method = asked["method"]
    except (ValueError, KeyError, AttributeError, TypeError):
        await _put(socket, '{"error":{"code":3,"msg":"Invalid JSON"}}')
        return
    if method == "SUBSCRIBE":
        socket.streams |= names
    elif method == "UNSUBSCRIBE":
        socket.streams -= names
    await _put(socket, json.dumps({"result": None, "id": asked.get("id")}))


async def _put(socket: Socket, frame: str) -> None:
    if not socket.mute and not socket.connection.closed:
        with suppress(ConnectionError):
            await socket.connection.send_str(frame)
