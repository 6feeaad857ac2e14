"""windvane worker: runs one stage as a process of its consumer group."""

from typing import Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle

EXAMPLES = """
Examples:\n
  windvane worker features --bootstrap 127.0.0.1:9092\n
  windvane worker proposals:vol_trend,buy_and_hold --state states\n
  windvane worker ensemble --web-port 6067
"""


def worker(
    context: typer.Context,
    stage: Annotated[
        str,
        typer.Argument(
            help="features, proposals:AGENT,... (as --agents), ensemble or feedback.", metavar="STAGE"
        ),
    ],
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    state: options.State = None,
    binding: Annotated[str, typer.Option(help="aiokafka or faust.")] = "aiokafka",
    web_host: Annotated[str, typer.Option(help="Address that metrics are served on.")] = "127.0.0.1",
    web_port: Annotated[
        str | None,
        typer.Option(
            help="Port of /metrics and /health; none: no metrics. Default: one a stage from 6066 on."
        ),
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help="A lasting name: after a restart its partitions come back at once.")
    ] = None,
) -> None:
    """Run one STAGE as a worker; workers of a stage share the books."""
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.worker.service import run_worker, web_port_of

    options.find_modules_here()
    port = web_port_of(web_port)
    if not port.serves:
        refuse_idle(context, {"web_host"}, "with --web-port none")
    run_worker(
        stage,
        KafkaSettings.load(bootstrap, prefix),
        binding=binding,
        state=state,
        web_host=web_host,
        web_port=port,
        instance=instance,
    )


worker.__doc__ = f"{worker.__doc__}\n\n{EXAMPLES}"
