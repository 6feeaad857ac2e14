"""Sockets: what is new, several times a second, for every browser that is open; a slow one holds up no other."""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import WSMsgType, web

from windvane.infra.cockpit.security import Guard
from windvane.infra.cockpit.source import Source
from windvane.infra.cockpit.telling import News, brief, encoded

_LOOK_SECONDS = 0.25
_BEAT_LOOKS = 4
"""All books are told of at every fourth look, also where nothing is new, so that a page notices a silent server."""

_MOST = 64
_MOST_MESSAGE = 4_096
_TOKEN_SECONDS = 5.0


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a page sends: the token, where reading needs one, and the book that it shows."""

    token: str = ""
    book: str = ""


class Sockets:
    """The open sockets of a server. Bytes are made once for all that show the same book."""

    def __init__(self, source: Source, guard: Guard) -> None:
        self._source, self._guard = source, guard
        self._shown: dict[web.WebSocketResponse, str] = {}  # the book that each one shows
        self._news: dict[str, News] = {}
        self._messages: dict[str, bytes] = {}  # by book, "" for all books
        self._tick = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tell."""
        self._task = asyncio.create_task(self._tell())

    async def stop(self) -> None:
        """Close every socket."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(one.close(code=1001) for one in list(self._shown)), return_exceptions=True)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One socket, until it is closed."""
        if len(self._shown) >= _MOST:
            return web.json_response({"error": "too many pages are open: close some"}, status=503)
        socket = web.WebSocketResponse(heartbeat=15.0, max_msg_size=_MOST_MESSAGE, timeout=1.0)
        await socket.prepare(request)
        if not self._guard.free_to_read and not await self._admitted(socket):
            return socket
        self._shown[socket] = ""
        sending = asyncio.create_task(self._send(socket))
        try:
            async for message in socket:
                asked = _asked(message.data) if message.type is WSMsgType.TEXT else None
                if asked is None:
                    await socket.close(code=1003)
                else:
                    self._shown[socket] = asked.book if asked.book in self._source.books() else ""
        finally:
            del self._shown[socket]
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return socket

    async def _admitted(self, socket: web.WebSocketResponse) -> bool:
        try:
            message = await socket.receive(timeout=_TOKEN_SECONDS)
        except TimeoutError:
            await socket.close(code=1008)
            return False
        asked = _asked(message.data) if message.type is WSMsgType.TEXT else None
        if asked is not None and self._guard.knows(asked.token):
            return True
        await self._guard.refuse_token()
        await socket.close(code=1008)
        return False

    async def _send(self, socket: web.WebSocketResponse) -> None:
        """Send what is new; what came while the last one was on its way is passed over, and the page asks for it."""
        while not socket.closed:
            async with self._tick:
                await self._tick.wait()
            for book in dict.fromkeys(("", self._shown[socket])):
                if book in self._messages:
                    await socket.send_bytes(self._messages[book])

    async def _tell(self) -> None:
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            looks += 1
            self._messages = self._new(whole=looks % _BEAT_LOOKS == 0) if self._shown else {}
            if self._messages:
                async with self._tick:
                    self._tick.notify_all()

    def _new(self, *, whole: bool) -> dict[str, bytes]:
        messages = {"": encoded(brief(self._source))} if whole else {}
        shown = set(self._shown.values()) - {""}
        for book in self._news.keys() - shown:
            del self._news[book]
        for book in shown:
            if book not in self._news:
                self._news[book] = News(self._source, book)
            told = self._news[book].take()
            if whole or "news" in told:
                messages[book] = encoded(told)
        return messages


def _asked(text: str) -> Ask | None:
    try:
        return msgspec.json.decode(text, type=Ask)
    except msgspec.DecodeError:
        return None
