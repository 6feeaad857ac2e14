"""windvane up: runs the whole pipeline on one machine, with one process for each stage."""

from typing import Annotated

import typer

from windvane.infra.cli import options


def up(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    agents: options.Agents = None,
    state: options.State = None,
    binding: Annotated[str, typer.Option(help="aiokafka or faust.")] = "aiokafka",
    web_port: Annotated[
        str | None,
        typer.Option(
            help="First of four ports for metrics, on loopback; none: no metrics. Default: 6066, or free ones above."
        ),
    ] = None,
) -> None:
    """Run all stages as processes, restart what dies, stop all on Ctrl-C or SIGTERM.

    Example:\n
      windvane up --bootstrap 127.0.0.1:9092 --agents vol_trend,buy_and_hold
    """
    import asyncio

    from windvane.agents.factory import AGENTS
    from windvane.infra.kafka.broker import layout
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.worker.plan import made_here, specs
    from windvane.infra.kafka.worker.service import web_port_of
    from windvane.infra.kafka.worker.supervisor import Supervisor
    from windvane.infra.runs.progress import interruptible
    from windvane.infra.runs.summary import prepare

    settings = KafkaSettings.load(bootstrap, prefix)
    options.find_modules_here()
    stages = specs(tuple(AGENTS) if agents is None else made_here(agents))
    port = web_port_of(web_port)
    asyncio.run(layout.check(settings))
    prepare()  # once, so that four processes do not compile the same
    words = ["--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--binding", binding]
    words += [] if state is None else ["--state", str(state)]
    words += [] if port.serves else ["--web-port", "none"]
    supervisor = Supervisor(stages, words, port.port)
    with interruptible() as stopping:
        raise typer.Exit(supervisor.run(stopping))
