"""windvane journal: the topics written to files."""

from pathlib import Path
from typing import Annotated

import typer

from windvane.infra.cli import options


def journal(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    book: Annotated[str | None, typer.Option(help="Only this book.")] = None,
    start: options.From = None,
    end: options.To = None,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("runs/topics"),
) -> None:
    """Export the topics that the broker got between two times: JSON lines, Parquet, and a journal for every book.

    Example:\n
      windvane journal --from 2024-01-31 --out runs/january && windvane replay runs/january/btc
    """
    import asyncio

    from windvane.infra.files.timestamps import parse_moment
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.export import export
    from windvane.infra.runs.backtest import claimed
    from windvane.infra.runs.progress import bar, say

    settings = KafkaSettings.load(bootstrap, prefix)
    low, high = parse_moment(start, "--from"), parse_moment(end, "--to")
    with claimed(out), bar("export", 0) as progress:
        rows = asyncio.run(export(settings, out, start=low, end=high, book=book, progress=progress))
    if not rows:
        say("the topics hold nothing of that time")
        raise typer.Exit(1)
    for name, count in sorted(rows.items()):
        say(f"{name or 'no book'}: {count:,} rows in {out / name}")
