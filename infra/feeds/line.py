"""Line: one websocket address that is kept connected, whatever the other side does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

from windvane.infra.feeds.dialling import Dialling
from windvane.infra.feeds.feed import Kind, Note
from windvane.infra.feeds.outbox import Outbox
from windvane.infra.feeds.rest import retry_after
from windvane.infra.feeds.watchdog import Watchdog

ROLL_AFTER = 23.5 * 3600.0
"""Seconds after which a second socket is dialled: exchanges end one after 24 hours."""
OVERLAP = 2.0
"""Seconds for which both sockets are read at a roll-over: what one has not sent the other has, and ids join them."""
LOOK = 0.25
"""Seconds between two looks at the watchdog."""
_TURN = 64
"""Frames read before other tasks get their turn, since frames that have arrived are read without waiting."""
_MOST_FRAME = 4 * 1024 * 1024
_CONNECT = aiohttp.ClientWSTimeout(ws_close=2.0)


@dataclass(slots=True)
class _Socket:
    """A connection while it lasts."""

    connection: aiohttp.ClientWebSocketResponse[Literal[False]]
    began: float
    task: asyncio.Task[None] | None = None
    frames: int = 0
    reason: str = "the exchange closed the connection"
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Line:
    """Dials, reads, watches, drops and dials again, from `run` until it is cancelled."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        frame: Callable[[bytes, int], None],
        outbox: Outbox,
        dialling: Dialling,
        *,
        roll_after: float = ROLL_AFTER,
    ) -> None:
        """frame: called with each text frame and the ns of this machine's clock at which it was read; must not raise.
        dialling: shared by the lines of one feed, since an exchange counts by address.
        """
        self.broken: Callable[[], None] = lambda: None
        self.up: Callable[[], None] = lambda: None
        self.dialled: Callable[[], None] = lambda: None
        self._session, self._url, self._frame = session, url, frame
        self._outbox, self._dialling, self._roll_after = outbox, dialling, roll_after
        self._watchdog = Watchdog(time.monotonic())
        self._rolling = asyncio.Event()
        self._broke = False

    @property
    def silence_limit(self) -> float:
        """Seconds of silence after which this line is dropped."""
        return self._watchdog.limit

    def roll(self) -> None:
        """Let a second socket replace the present one now: the exchange has said that it will close it."""
        self._rolling.set()

    async def run(self) -> None:
        """Keep the line up; ends only by being cancelled, and then leaves no socket open."""
        socket: _Socket | None = None
        try:
            while True:
                if socket is None:
                    socket = await self._dial()
                    continue
                socket = await self._keep(socket)
        finally:
            if socket is not None:
                await self._close(socket)

    async def _keep(self, socket: _Socket) -> _Socket | None:
        """Watch a socket to its end; returns the one that replaces it, None where there is none yet."""
        while not socket.ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await socket.ended.wait()
            now = time.monotonic()
            if not self._outbox.full and (silence := self._watchdog.silent(now)):
                socket.reason = f"no frame for {silence:.1f} s"
                self._note("silent", f"{socket.reason}: the connection is dropped", silence)
                break
            if (self._rolling.is_set() or now - socket.began >= self._roll_after) and not self._dialling.wait(
                now
            ):
                following = await self._dial_once()
                if following is not None:
                    return await self._join(socket, following)
        self._broke = True
        self.broken()
        await self._close(socket)
        self._dialling.ended(time.monotonic(), time.monotonic() - socket.began)
        return None

    async def _join(self, old: _Socket, following: _Socket) -> _Socket:
        """Read both for a while, so that no trade falls between them, then end the old one."""
        self._note("rollover", "a second connection replaces one that is about to end", OVERLAP)
        try:
            async with asyncio.timeout(OVERLAP):
                await following.ended.wait()
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            await self._close(following)
            raise
        await self._close(old)
        return following

    async def _dial(self) -> _Socket | None:
        """Wait for the time at which an attempt may be made, and make it."""
        wait = self._dialling.wait(time.monotonic())
        if wait > 0.0:
            self._note("dialling", f"the next attempt to connect starts in {wait:.1f} s", wait)
            while (wait := self._dialling.wait(time.monotonic())) > 0.0:
                await asyncio.sleep(wait)
        socket = await self._dial_once()
        if socket is not None and self._broke:
            self.up()
        return socket

    async def _dial_once(self) -> _Socket | None:
        self._rolling.clear()
        self._dialling.attempt(time.monotonic())
        self.dialled()
        try:
            async with asyncio.timeout(10.0):
                connection = await self._session.ws_connect(
                    self._url, timeout=_CONNECT, max_msg_size=_MOST_FRAME, decode_text=False
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            self._failed(error)
            return None
        now = time.monotonic()
        self._watchdog.start(now)
        socket = _Socket(connection, now)
        socket.task = asyncio.create_task(self._read(socket))
        return socket

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._dialling.ended(now, 0.0)
        if isinstance(error, aiohttp.WSServerHandshakeError) and error.status in (418, 429):
            pause = retry_after(error.headers or {}, 60.0)
            self._dialling.forbid(now, pause)
            self._note(
                "refused", f"the exchange answered {error.status}: left alone for {pause:.0f} s", pause
            )

    async def _read(self, socket: _Socket) -> None:
        """Pass on every frame until the socket ends; stops reading while too much waits to be taken."""
        connection, frame, watchdog = socket.connection, self._frame, self._watchdog
        try:
            while True:
                message = await connection.receive()
                if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    socket.reason = f"the connection ended ({message.type.name.lower()} {message.data or ''})"
                    return
                watchdog.frame(time.monotonic())
                socket.frames += 1
                if socket.frames == 1:
                    self._note("connected", f"frames come from {self._url.partition('?')[0]}")
                frame(message.data, time.time_ns())
                if not socket.frames % _TURN:
                    await asyncio.sleep(0)
                if self._outbox.full:
                    await self._outbox.room()
                    watchdog.start(time.monotonic())
        except (aiohttp.ClientError, OSError) as error:
            socket.reason = f"the connection broke ({error})"
        finally:
            socket.ended.set()

    async def _close(self, socket: _Socket) -> None:
        assert socket.task is not None  # noqa: S101 - set where the socket is made
        socket.task.cancel()
        await asyncio.wait(
            [socket.task]
        )  # in place of awaiting it, which would take our own end for the task's
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            await socket.connection.close()

    def _note(self, kind: Kind, text: str, value: float = 0.0) -> None:
        self._outbox.put(Note(kind, time.time_ns(), text, value))
