"""windvane verify: the bars of a live session beside those that the exchange publishes."""

from pathlib import Path
from typing import Annotated

import typer


def verify(
    session: Annotated[Path, typer.Argument(help="Folder of a `windvane live`.")],
    endpoint: Annotated[
        str | None, typer.Option(help="Scheme, host and port in place of the exchange's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Compare the bars of a session with the exchange's own of the same time; exit code 1 where they differ.

    Close, volume and what buyers took are compared, beyond rounding. Bars beside a gap that the session declared are
    left out. Example:\n
      windvane verify runs/live
    """
    import asyncio
    import sys

    import msgspec

    from windvane.infra.feeds.opening import open_feed
    from windvane.infra.live.verifying import Verdict, told
    from windvane.infra.live.verifying import verify as compare
    from windvane.infra.runs import journal
    from windvane.infra.runs.backtest import run_info
    from windvane.metamodel.base.config import ConfigError
    from windvane.streams.events import BookOpened, Ticks, cut

    folder = journal.find(session)
    info = run_info(folder)
    if not info.get("live"):
        raise ConfigError(f"{session} is no live session: name the --out of a `windvane live`")
    exchange, symbol, *_ = info["live"]
    first = int(info.get("first_live", 0))
    interval, rows = 0, []
    for _, event in journal.read(folder):
        if isinstance(event, BookOpened):
            interval = event.config.interval
        elif isinstance(event, Ticks) and event.last >= first:
            rows.append(cut(event, max(0, first - event.first), len(event)))

    async def ask() -> Verdict:
        feed = open_feed(exchange, symbol, endpoint)
        try:
            await feed.open()
            return await compare(feed, rows, interval, whole=first > 0)
        finally:
            await feed.close()

    verdict = asyncio.run(ask())
    sys.stdout.write(f"{msgspec.json.encode(verdict).decode() if as_json else told(verdict)}\n")
    if verdict.differences:
        raise typer.Exit(1)
