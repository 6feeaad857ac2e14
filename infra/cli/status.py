"""windvane status: one page about the state of the pipeline, as its workers tell it through Kafka."""

from typing import Annotated

import typer

from windvane.infra.cli import options


def status(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every 2 s until Ctrl-C.")] = False,
    book: Annotated[str | None, typer.Option(help="Only this book, with its details.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every book, instead of those with troubles and a few.")
    ] = False,
    silence: Annotated[float, typer.Option(help="Seconds without a row that are a trouble.")] = 60.0,
    behind: Annotated[int, typer.Option(help="Rows or records behind that are a trouble.")] = 10_000,
) -> None:
    """Show every book, however silent, workers, lags and dead letters; exit code 1 if something should wake a person.

    Example:\n
      windvane status --bootstrap 127.0.0.1:9092 --prefix windvane
    """
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.status.show import View, show
    from windvane.infra.status.troubles import Limits
    from windvane.metamodel.base.config import check

    check(0 < silence < 1e9, f"--silence is {silence}: give seconds above 0")
    check(0 < behind < 1e12, f"--behind is {behind}: give a number above 0")
    check(book is None or not (watch or every), "--book shows one book once: leave out --watch and --all")
    settings = KafkaSettings.load(bootstrap, prefix)
    limits = Limits(silence=silence, behind=behind)
    if not asyncio.run(show(settings, limits, View(as_json, watch, every, book))):
        raise typer.Exit(1)
