"""What a worker shows of itself: /metrics for Prometheus and /health, on loopback unless told otherwise."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from windvane.infra.telemetry.metrics import WorkerMetrics


@asynccontextmanager
async def serving(metrics: WorkerMetrics, host: str, port: int | None) -> AsyncIterator[None]:
    """Serve while the block runs; port None serves nothing."""
    if port is None:
        yield
        return
    from aiohttp import web

    async def exposed(request: web.Request) -> web.Response:
        return web.Response(
            body=metrics.expose(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def healthy(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", exposed), web.get("/health", healthy)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()
