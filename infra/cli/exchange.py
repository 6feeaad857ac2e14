"""windvane exchange: a local exchange that serves a capture, with faults on demand."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def exchange(
    files: Annotated[
        list[Path],
        typer.Argument(help="A capture in parquet, or the files of a recording.", show_default=False),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1, 0 for a free one.")] = 8080,
    speed: Annotated[str, typer.Option(help="Times as fast as it happened, such as 1x or 20x.")] = "1x",
    begin: Annotated[
        float, typer.Option(help="Seconds into the capture; what lies before is history.")
    ] = 0.0,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin anew at the end, with ids and times that go on.")
    ] = False,
    faults: Annotated[
        str | None, typer.Option(help="JSON lines of faults, or seed:7 for some at random.")
    ] = None,
) -> None:
    """Serve captured trades and quotes as Binance does, spot or USD-M futures, REST and websockets, until Ctrl-C.

    The clock starts at the capture's first time and runs at --speed; /time tells it. Examples:\n
      windvane exchange lob_binance_usdm_btcusdt_20240808.parquet --port 8080 --speed 20x\n
      windvane exchange recording.jsonl.gz --faults faults.jsonl
    """
    import asyncio

    from windvane.infra.exchange.capture import load
    from windvane.infra.exchange.faults import parse
    from windvane.infra.exchange.server import LocalExchange
    from windvane.infra.feeds.errors import FeedError
    from windvane.infra.runs.progress import interruptible

    try:
        times = float(speed.removesuffix("x"))
    except ValueError as error:
        raise FeedError(f"--speed is {speed!r}: give a number of times such as 1x or 20x") from error
    script = parse(faults) if faults else None
    served = LocalExchange(load(files), port=port, speed=times, begin=begin, loop=loop, faults=script)

    async def serve() -> None:
        with interruptible() as asked:
            async with served:
                capture = served.market.capture
                sys.stdout.write(f"{capture.exchange} {capture.native} at {served.url}\n")
                sys.stdout.flush()
                while not asked():
                    await asyncio.sleep(0.1)

    asyncio.run(serve())
