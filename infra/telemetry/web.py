"""The HTTP endpoint of a worker: /metrics for Prometheus, and /health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from windvane.infra.telemetry.metrics import WorkerMetrics


@asynccontextmanager
async def serving(metrics: WorkerMetrics, host: str, port: int | None) -> AsyncIterator[None]:
    """Context manager: serve /metrics and /health in the running event loop until the end of the block.

    host, port: the address to listen on; port None serves nothing.
    """
    if port is None:
        yield
        return
    from aiohttp import web

    async def exposed(request: web.Request) -> web.Response:
        return web.Response(
            body=await metrics.page(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
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
