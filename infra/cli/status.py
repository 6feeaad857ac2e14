"""windvane status: one page about the state of the pipeline, read from Kafka alone."""

from typing import Annotated

import typer

from windvane.infra.cli import options


def status(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every 2 s until Ctrl-C.")] = False,
    silence: Annotated[float, typer.Option(help="Seconds without a tick that are a trouble.")] = 60.0,
    behind: Annotated[int, typer.Option(help="Rows or records behind that are a trouble.")] = 10_000,
) -> None:
    """Show books, lags, risk, weights, orders, dead letters and workers; exit code 1 if something should wake a person.

    Example:\n
      windvane status --bootstrap 127.0.0.1:9092 --prefix windvane
    """
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.status.show import show
    from windvane.infra.status.status import Limits
    from windvane.metamodel.base.config import check

    check(0 < silence < 1e9, f"--silence is {silence}: give seconds above 0")
    check(0 < behind < 1e12, f"--behind is {behind}: give a number above 0")
    settings = KafkaSettings.load(bootstrap, prefix)
    limits = Limits(silence=silence, behind=behind)
    if not asyncio.run(show(settings, limits, as_json=as_json, watch=watch)):
        raise typer.Exit(1)
