"""LocalExchange: a capture served at an address, as Binance would serve it."""

from __future__ import annotations

import asyncio
from types import TracebackType

from aiohttp import web
from msgspec.structs import replace

from windvane.infra.exchange import rest_answers as rest
from windvane.infra.exchange.capture import Capture
from windvane.infra.exchange.faults import Fault, Faults
from windvane.infra.exchange.market import Market
from windvane.infra.exchange.sockets import Sockets
from windvane.infra.feeds.errors import FeedError

HOST = "127.0.0.1"
"""A local exchange is for this machine alone."""


class LocalExchange:
    """Serves from `async with` on, in the event loop of the caller."""

    def __init__(
        self,
        capture: Capture,
        *,
        port: int = 0,
        speed: float = 1.0,
        begin: float = 0.0,
        loop: bool = False,
        faults: Faults | None = None,
    ) -> None:
        """port: 0 for a free one. speed: times as fast as it happened. begin: seconds into the capture at which the
        clock starts; what lies before is history. loop: begin anew at the end, with ids and times that go on.

        Raises FeedError where these do not fit.
        """
        length = (int(capture.at[-1]) - int(capture.at[0])) / 1e9
        if not 0.0 < speed <= 1000.0:
            raise FeedError(f"--speed is {speed:g}: give a number of times above 0 and up to 1000")
        if not 0.0 <= begin < length:
            raise FeedError(f"--begin is {begin:g} s: the capture is {length:.0f} s long, so give less")
        if loop and capture.frames:
            raise FeedError(
                "--loop needs ids that can be moved: frames of a recording are served as they came, once"
            )
        self.faults = faults or Faults()
        self.market = Market(capture, speed, begin, loop)
        self.sockets = Sockets(self.market, self.faults)
        self.requests = self.handshakes = 0
        self._port = port
        self._runner: web.AppRunner | None = None
        self._script: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address to give as --endpoint."""
        return f"http://{HOST}:{self._port}"

    async def __aenter__(self) -> LocalExchange:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._get)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self._port)
        await site.start()
        address = self._runner.addresses[0]
        self._port = int(address[1])
        self.market.start()
        self.faults.start()
        self._script = asyncio.create_task(self._play())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._script is not None:
            self._script.cancel()
            await asyncio.gather(self._script, return_exceptions=True)
        for socket in list(self.sockets.open):
            socket.break_off()
        if self._runner is not None:
            await self._runner.cleanup()

    async def inject(self, fault: Fault) -> None:
        """Let a fault happen, or begin, now; its `at` is passed over."""
        if fault.lasts_on:
            self.faults.lasting.append(replace(fault, at=self.faults.now()))
        else:
            await self.sockets.happen(fault)

    async def _play(self) -> None:
        for fault in self.faults.moments():
            await asyncio.sleep(max(0.0, fault.at - self.faults.now()))
            await self.sockets.happen(fault)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        socket = request.headers.get("Upgrade", "").lower() == "websocket"
        self.handshakes += socket
        fault = self.faults.active("refuse")
        if fault is not None and fault.where in ("both", "sockets" if socket else "rest"):
            headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after else {}
            return web.Response(status=fault.status, headers=headers, text="refused by the script of faults")
        if socket:
            return await self.sockets.serve(request)
        self.requests += 1
        status, answer = self._answer(request)
        return web.json_response(answer, status=status)

    def _answer(self, request: web.Request) -> rest.Answer:
        prefix = "/api/v3/" if self.market.capture.exchange == "binance" else "/fapi/v1/"
        path = request.path
        if not path.startswith(prefix):
            # Clients that trade everything ask all sides of an exchange for their symbols; the others have none.
            return (
                (200, {"symbols": []})
                if path.endswith("/exchangeInfo")
                else (404, {"code": -1, "msg": "no such path"})
            )
        name = path.removeprefix(prefix)
        if name == "ping":
            return 200, {}
        if name == "time":
            wrong = self.faults.active("clock")
            return rest.server_time(self.market, wrong.seconds if wrong else 0.0)
        if name == "exchangeInfo":
            return rest.exchange_info(self.market)
        if name == "aggTrades":
            return rest.agg_trades(self.market, request.query)
        if name == "klines":
            return rest.klines(self.market, request.query)
        return 404, {"code": -1, "msg": "the local exchange does not serve this"}
