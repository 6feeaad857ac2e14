"""Cockpit: the page and its data at an address, in the event loop of whoever has the source."""

from __future__ import annotations

import os
from importlib.resources import files
from types import TracebackType
from typing import Any

import msgspec
from aiohttp import web

from windvane.agents.errors import WindvaneError
from windvane.infra.cockpit.history import AT_ONCE, history
from windvane.infra.cockpit.presses import Presses
from windvane.infra.cockpit.security import HEADERS, Guard
from windvane.infra.cockpit.sockets import Sockets
from windvane.infra.cockpit.source import CockpitError, Outcome, Press, Source, check_press
from windvane.infra.cockpit.telling import WORDS, all_states, encoded
from windvane.infra.cockpit.timeline import ROWS

PAGE = files("windvane.infra.cockpit") / "page"
FILES = {
    "index.html": "text/html",
    "cockpit.css": "text/css",
    **dict.fromkeys(
        ("cockpit.js", "store.js", "charts.js", "panels.js", "orders.js", "words.js"), "text/javascript"
    ),
    "vendor/uPlot.iife.min.js": "text/javascript",
    "vendor/uPlot.min.css": "text/css",
}
"""What is served of the folder `page`, and nothing else."""

_MOST_BYTES = 16_384


class Cockpit:
    """Serves from `async with` on. port: 0 for a free one, `url` says which. token: for whatever changes anything.

    Raises CockpitError where the address cannot be listened on.
    """

    def __init__(self, source: Source, token: str, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self._source = source
        self._presses = Presses(source)
        self.guard = Guard(token, host)
        self._sockets = Sockets(source, self.guard)
        self._files = {name: (PAGE / name).read_bytes() for name in FILES}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    async def __aenter__(self) -> Cockpit:
        app = web.Application(middlewares=[self.guard.judge], client_max_size=_MOST_BYTES)
        app.on_response_prepare.append(_protect)
        app.add_routes(
            [
                web.get("/healthz", _well),
                web.get("/api/state", self._state),
                web.get("/api/words", self._words),
                web.get("/api/history", self._history),
                web.post("/api/control", self._control),
                web.get("/ws", self._sockets.serve),
                web.get("/{name:.*}", self._file),
            ]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except OSError as error:
            await runner.cleanup()
            why = os.strerror(error.errno).lower() if error.errno else str(error)
            raise CockpitError(
                f"the cockpit cannot listen on {self.host}:{self.port} ({why}): give another --port"
            ) from error
        self._runner = runner
        self.port = self.guard.port = int(runner.addresses[0][1])
        self._sockets.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sockets.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"] or "index.html"
        if name not in FILES:
            raise web.HTTPNotFound
        return web.Response(body=self._files[name], content_type=FILES[name], charset="utf-8")

    async def _state(self, request: web.Request) -> web.Response:
        return _json(all_states(self._source))

    async def _words(self, request: web.Request) -> web.Response:
        return _json(WORDS)

    async def _history(self, request: web.Request) -> web.Response:
        asked = request.query
        try:
            since, most = int(asked.get("since", -1)), int(asked.get("most", AT_ONCE))
            before = int(asked["before"]) if "before" in asked else None
            timeline = self._source.timeline(asked.get("book", ""))
        except ValueError:
            return _json({"error": "since, before and most are whole numbers"}, 400)
        except KeyError:
            return _json({"error": f"no such book: there are {', '.join(self._source.books())}"}, 404)
        return _json(history(timeline, since, min(max(most, 1), ROWS), before=before))

    async def _control(self, request: web.Request) -> web.Response:
        """Carry out a press: 200 where a decision obeys it, 202 where none has yet, 409 where none will."""
        try:
            press = msgspec.json.decode(await request.read(), type=Press)
        except msgspec.DecodeError as error:
            return _json({"error": f"that is no control: {error}"}, 400)
        if self._source.no_control:
            return _json({"error": self._source.no_control}, 409)
        try:
            check_press(press, self._source.books())
            outcome = await self._presses.outcome(press)
        except CockpitError as error:
            return _json({"error": str(error)}, 400)
        except WindvaneError as error:
            return _json({"error": str(error)}, 503)
        return _answer(press, outcome)


def _answer(press: Press, outcome: Outcome | None) -> web.Response:
    if outcome is None:
        sentence = (
            f"{press.action} of book {press.book} is being written: it is not known yet whether it arrived"
        )
        outcome = Outcome(0, False, None, sentence, False)
    status = 200 if outcome.obeyed else 409 if outcome.final else 202
    return _json(outcome._asdict(), status)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=encoded(value), status=status, content_type="application/json")


async def _well(request: web.Request) -> web.Response:
    """It is up, and tells nothing else."""
    return web.Response(text="ok\n")


async def _protect(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
