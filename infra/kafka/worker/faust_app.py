"""The Faust binding: an app of one stage, built from the topology. No stage logic is here.

Faust provides the group, the agent that records flow through, sensors and the web server. It may not decide where a
partition goes on: its agent delivers records, and an inlet uses only the next one. Faust's tables and its exactly_once
are not used: states are in snapshots, and the ensemble writes its own transactions.
"""

from typing import Any, cast

import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver

from windvane.infra.kafka.broker.agent_keys import signature_of
from windvane.infra.kafka.broker.groups import client_id
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.worker.hosts import Hosts
from windvane.infra.kafka.worker.inlet import MS, DeliveredInlet
from windvane.infra.kafka.worker.plain import SESSION_MS
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.web import health_page
from windvane.streams.many_rows import Delivered


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        """Faust's consumer, which reads committed records only, and gets the same partition of every topic."""
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._group_instance_id = consumer._group_instance_id or None  # "" would be one name for all
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)
        consumer._fetch_max_wait_ms = 250
        return consumer


class _Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _Transport(driver.Transport):
    Consumer = _Consumer


class _App(faust.App):
    def _create_directories(self) -> None:
        """Make none: only tables would need a folder, and the user who runs a worker may have none to write to."""


def build(
    plan: WorkerPlan, metrics: WorkerMetrics, *, web_host: str, web_port: int | None, instance: str | None
) -> faust.App:
    """A Faust app, not started, that runs the plan's stage; web_port: None serves no metrics."""
    app = _App(
        plan.group,
        broker=[f"kafka://{address}" for address in plan.settings.bootstrap.split(",")],
        **_login(plan.settings),
        broker_client_id=client_id(plan.program),
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=SESSION_MS / 1000,
        broker_heartbeat_interval=SESSION_MS / 4000,
        broker_request_timeout=40.0,
        consumer_group_instance_id=instance or "",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=8_000_000,
        stream_wait_empty=False,
        stream_buffer_maxsize=4096,
        producer_linger=0.0,
        web_enabled=web_port is not None,
        web_bind=web_host,
        web_host=web_host,
        web_port=web_port or 6066,
        web_in_thread=False,
    )
    metrics.health.listens = "" if web_port is None else f"{web_host}:{web_port}"
    app.transport = _Transport([*app.conf.broker_consumer], app)
    names = [plan.settings.topic(topic) for topic in plan.stage.reads]
    source = app.topic(*names, key_serializer="raw", value_serializer="raw")
    hosts: list[Hosts] = []

    def _crash(failed: Any) -> None:
        app.loop.create_task(app.crash(failed.exception()))

    @app.agent(source, name=plan.name)
    async def deliver(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            host = hosts[0][message.partition] if hosts else None
            if host is not None and isinstance(host.inlet, DeliveredInlet):
                received = round(message.timestamp * 1000) * MS  # Faust makes seconds of them
                host.inlet.deliver(
                    TopicPartition(message.topic, message.partition),
                    Delivered(message.offset, message.value, received, _signature(message.headers)),
                )
            event.ack()  # the group's offsets serve only those who look at its lag

    async def assigned(sender: Any, *partitions: Any, **kwargs: Any) -> None:
        if not hosts:
            hosts.append(Hosts(plan, metrics, DeliveredInlet))
            hosts[0].failed.add_done_callback(_crash)
        await hosts[0].assign({place.partition for place in partitions[0]})

    async def stopping(sender: Any, *args: Any, **kwargs: Any) -> None:
        if hosts:
            await hosts[0].stop()

    app.on_partitions_assigned.connect(cast(Any, assigned))
    app.on_before_shutdown.connect(cast(Any, stopping))

    @app.page("/metrics")
    async def exposed(web: Any, request: Any) -> Any:
        return web.text((await metrics.page()).decode(), content_type="text/plain; version=0.0.4")

    @app.page("/health")
    async def healthy(web: Any, request: Any) -> Any:
        status, body = health_page(metrics.health)
        return web.text(body.decode(), content_type="application/json", status=status)

    return app


def _signature(headers: Any) -> bytes:
    """The signature beside a message; Faust has headers as a mapping, or as pairs."""
    return signature_of(headers.items() if isinstance(headers, dict) else headers or ())


def _login(settings: KafkaSettings) -> dict[str, Any]:
    """How to log in, in Faust's form of the settings that every aiokafka client gets."""
    client = settings.client()
    if client["security_protocol"] == "PLAINTEXT":
        return {}
    if not client["security_protocol"].startswith("SASL"):
        return {"broker_credentials": faust.SSLCredentials(client["ssl_context"])}
    return {
        "broker_credentials": faust.SASLCredentials(
            username=client["sasl_plain_username"],
            password=client["sasl_plain_password"],
            mechanism=client["sasl_mechanism"],
            ssl_context=client["ssl_context"],
        )
    }
