"""The HTTP endpoint of a worker: /metrics for Prometheus, and /health as JSON."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from windvane.agents.errors import WindvaneError
from windvane.infra.telemetry.health import Health
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.metrics import WorkerMetrics

FIRST_PORTS = {"features": 6066, "proposals": 6067, "feedback": 6068, "ensemble": 6069}
"""The port of each stage where none is named; further workers of this machine take the next free ones."""

_TRIES = 256


class PortError(WindvaneError):
    """A port that cannot be listened on; the message says which and what to do."""


def listener(stage: str, host: str, port: int | None) -> socket.socket:
    """A socket that listens on `port`, or for None on the first free one from the stage's own on.

    Raises PortError where `port` is in use, or the address is not of this machine.
    """
    first = FIRST_PORTS.get(stage, min(FIRST_PORTS.values())) if port is None else port
    for free in range(first, first + (_TRIES if port is None else 1)):
        try:
            link = _listening(host, free)
        except OSError as error:
            why = error
            if error.errno != errno.EADDRINUSE:
                break
        else:
            if free != first:
                logger(stage=stage).info(
                    "port in use, the next free one serves metrics", taken=first, port=free
                )
            return link
    raise PortError(
        f"metrics cannot be served on {host}:{first} ({(why.strerror or str(why)).lower()}): give another --web-port, "
        "or --web-port none"
    )


def _listening(host: str, port: int) -> socket.socket:
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    link = socket.socket(family, kind, proto)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        link.bind(address)
        link.listen(128)
    except BaseException:
        link.close()
        raise
    return link


def health_page(health: Health) -> tuple[int, bytes]:
    """The status and the body of /health: 200 where the worker is well, 503 where it is not."""
    well, told = health.report()
    return (200 if well else 503), orjson.dumps(told) + b"\n"


@asynccontextmanager
async def serving(metrics: WorkerMetrics, link: socket.socket | None) -> AsyncIterator[None]:
    """Context manager: serve /metrics and /health in the running event loop until the end of the block.

    link: listens already, and is closed at the end; None serves nothing.
    """
    if link is None:
        yield
        return
    from aiohttp import web

    async def exposed(request: web.Request) -> web.Response:
        return web.Response(
            body=await metrics.page(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def healthy(request: web.Request) -> web.Response:
        status, body = health_page(metrics.health)
        return web.Response(body=body, status=status, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/metrics", exposed), web.get("/health", healthy)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, link).start()
        host, port = link.getsockname()[:2]
        metrics.health.listens = f"{host}:{port}"
        yield
    finally:
        await runner.cleanup()
