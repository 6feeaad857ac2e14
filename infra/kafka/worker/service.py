"""One worker process: its settings are checked and its kernels ready before it joins its group; it stops cleanly."""

import asyncio
import gc
import signal
import time
from contextlib import closing
from pathlib import Path
from socket import socket
from typing import NamedTuple

from windvane.agents.kernel import compiled_before
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import AwayError, KafkaSettings, SettingsError
from windvane.infra.kafka.broker.states import check_none_left, folder_of
from windvane.infra.kafka.worker.plain import run_plain
from windvane.infra.kafka.worker.plan import WorkerPlan, plan_of
from windvane.infra.runs.warmup import warm_up
from windvane.infra.telemetry.logs import config, logger, route
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.web import listener
from windvane.infra.training.trainer import ChildTrainer, has_torch
from windvane.metamodel.base.config import ConfigError
from windvane.streams.stage import StateError

BINDINGS = ("aiokafka", "faust")


class WebPort(NamedTuple):
    """Whether a worker serves metrics, and on which port."""

    serves: bool
    port: int | None = None  # None: the first free one from the stage's own on


_ASK_SECONDS = 0.5
_COLLECT_AFTER = 10_000
"""So many more objects are there before the collector looks for cycles: a step makes thousands that are in none."""

_WARN_SECONDS = 30.0


def run_worker(
    spec: str,
    settings: KafkaSettings,
    *,
    binding: str,
    state: Path | None,
    web_host: str,
    web_port: WebPort,
    instance: str | None,
) -> None:
    """Run the stage that `spec` names until SIGTERM or SIGINT.

    state: folder of the states, `topic` for Kafka, None for the user's folder; web_port: of `web_port_of`; instance: a
    lasting name in the group. Raises LayoutError, SettingsError, ConfigError, PortError or StateError for what no
    restart can mend.
    """
    if binding not in BINDINGS:
        raise ConfigError(f"--binding is {binding!r}: give one of {', '.join(BINDINGS)}")
    route(stage=spec.partition(":")[0])
    if web_port.port is not None:
        listener(spec.partition(":")[0], web_host, web_port.port).close()  # refused before a broker is asked
    states = folder_of(state)
    partitions = asyncio.run(_layout(settings, spec.partition(":")[0]))
    if states is not None:
        states /= asyncio.run(layout.cluster(settings))  # offsets of one cluster mean nothing on another
    plan = plan_of(spec, settings, partitions, states)
    if state is None and states is not None:
        check_none_left(states.parent, Path(states.name, settings.prefix, plan.name))
    _compile(plan.name)
    gc.freeze()  # the collector does not go through what was imported while rows wait
    gc.set_threshold(_COLLECT_AFTER)
    metrics = WorkerMetrics(plan.stage.name)
    with closing(ChildTrainer()) as trainer:
        if plan.stage.trains and has_torch():
            trainer.start()  # loads torch now, so that no book waits for it
        plan = plan._replace(trainer=trainer)
        link = listener(plan.stage.name, web_host, web_port.port) if web_port.serves else None
        if binding == "faust":
            _run_faust(plan, metrics, link, instance)
        else:
            asyncio.run(_run_plain(plan, metrics, link, instance))


def _compile(name: str) -> None:
    """Compile the kernels or load them: one that is compiled later would hold up heartbeats. Says what takes long."""
    began, log = time.monotonic(), logger(stage=name)
    first = not compiled_before()
    if first:
        log.info("compiling kernels", why="first run of this version on this machine", takes="about a minute")
    warm_up()
    if first:
        log.info("kernels compiled", seconds=round(time.monotonic() - began, 1))


async def _layout(settings: KafkaSettings, stage: str) -> int:
    """The number of partitions; waits for a broker that is away, since a worker may be started before its broker."""
    warned = -_WARN_SECONDS
    while True:
        try:
            return await layout.check(settings)
        except AwayError as away:
            if time.monotonic() - warned >= _WARN_SECONDS:
                logger(stage=stage).warning("waiting for the broker", reason=str(away))
                warned = time.monotonic()
            await asyncio.sleep(_ASK_SECONDS)


async def _run_plain(
    plan: WorkerPlan, metrics: WorkerMetrics, link: socket | None, instance: str | None
) -> None:
    from windvane.infra.telemetry.web import serving

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with serving(metrics, link):
        logger(stage=plan.name).info(
            "worker started",
            group=plan.group,
            partitions=plan.partitions,
            program=str(plan.program),
            metrics=metrics.health.listens or "none",
        )
        await run_plain(plan, metrics, stopping, instance)
    logger(stage=plan.name).info("worker stopped")


def _run_faust(plan: WorkerPlan, metrics: WorkerMetrics, link: socket | None, instance: str | None) -> None:
    import faust

    from windvane.infra.kafka.worker.faust_app import build

    web_host, web_port = ("127.0.0.1", None) if link is None else link.getsockname()[:2]
    if link is not None:
        link.close()  # Faust opens its own
    app = build(plan, metrics, web_host=web_host, web_port=web_port, instance=instance)
    worker = faust.Worker(
        app, loglevel="WARNING", redirect_stdouts=False, quiet=True, logging_config=config(stage=plan.name)
    )
    worker.spinner = None  # the spinner would write escape codes of a terminal into the logs
    try:
        worker.execute_from_commandline()
    except SystemExit:
        if isinstance(app.crash_reason, StateError):
            raise app.crash_reason from None  # so that the command line prints its sentence, and Faust no trace
        raise


def web_port_of(text: str | None) -> WebPort:
    """What an option --web-port means: a port, `none`, or None for the stage's own; raises SettingsError for others."""
    if text is None:
        return WebPort(True)
    if text in ("none", "0"):
        return WebPort(False)
    port = int(text) if text.isdecimal() else -1
    if not 1 <= port < 65536:
        raise SettingsError(f"--web-port is {text!r}: give 1 to 65535, or none")
    return WebPort(True, port)
