"""windvane topics: the topics on the broker are made and checked, as one table says how they must be."""

from typing import Annotated

import typer

from windvane.infra.cli import options

app = typer.Typer(no_args_is_help=True, help="Make, check and show the topics.")


@app.command()
def create(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    partitions: Annotated[int, typer.Option(help="Of every topic that books lie on.")] = 4,
    replication: Annotated[int, typer.Option(help="Copies, on brokers of their own.")] = 1,
) -> None:
    """Make the topics that are missing and mend what is set wrongly; a second call changes nothing.

    Example:\n
      windvane topics create --bootstrap 127.0.0.1:9092 --prefix windvane --partitions 4
    """
    import asyncio

    from windvane.infra.kafka.broker import layout
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.runs.progress import say

    settings = KafkaSettings.load(bootstrap, prefix)
    for line in asyncio.run(layout.create(settings, partitions, replication)):
        say(line)
    number = asyncio.run(layout.check(settings))
    say(f"the topics of {settings.prefix} are ready: books lie on {number} partitions")


@app.command()
def check(bootstrap: options.Bootstrap = None, prefix: options.Prefix = None) -> None:
    """Tell whether workers would start; exit code 1 and the command that mends it if not."""
    import asyncio

    from windvane.infra.kafka.broker import layout
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.runs.progress import say

    settings = KafkaSettings.load(bootstrap, prefix)
    try:
        number = asyncio.run(layout.check(settings))
    except layout.LayoutError as error:
        say(f"windvane: {error}")
        raise typer.Exit(1) from error
    say(f"the topics of {settings.prefix} are right: books lie on {number} partitions")


@app.command()
def describe(bootstrap: options.Bootstrap = None, prefix: options.Prefix = None) -> None:
    """Show every topic: partitions, copies, what is kept, records, and who writes it; exit code 1 if one is missing."""
    import asyncio
    import sys

    from windvane.infra.kafka.broker import layout
    from windvane.infra.kafka.broker.settings import KafkaSettings

    rows = asyncio.run(layout.describe(KafkaSettings.load(bootstrap, prefix)))
    sys.stdout.write(f"{layout.table(rows)}\n")
    if not all(row.partitions for row in rows):
        raise typer.Exit(1)


@app.command("dead-letters")
def dead_letters(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    book: Annotated[
        str | None, typer.Option(help="Only those of this book, and of records that cannot be read.")
    ] = None,
    last: Annotated[int, typer.Option(help="So many of the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as they are.")] = False,
) -> None:
    """Show what was rejected and why, the newest last.

    Example:\n
      windvane topics dead-letters --book main --last 5
    """
    import asyncio
    import sys
    from datetime import UTC, datetime

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.letters import dead_letters as newest
    from windvane.metamodel.base.config import check

    check(last >= 1, f"--last is {last}: give 1 or more")
    for at, letter, raw in asyncio.run(newest(KafkaSettings.load(bootstrap, prefix), book, last)):
        time = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        line = f"{time}  {letter.book or '-'}  {letter.source}: {letter.reason}"
        sys.stdout.write(f"{raw.decode() if as_json else line}\n")
