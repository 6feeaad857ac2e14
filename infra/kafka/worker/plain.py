"""The binding on aiokafka alone: the group decides who has which partition, every partition reads for itself.

A partition that stays where it is goes on undisturbed while the group rebalances around it.
"""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError

from windvane.infra.kafka.broker.clients import close
from windvane.infra.kafka.broker.groups import client_id
from windvane.infra.kafka.worker.hosts import Hosts
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.metrics import WorkerMetrics

SESSION_MS = 6000
_COMMIT_SECONDS = 2.0
_AGAIN_SECONDS = 0.5


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells the hosts what the group decided; its own consumer reads nothing."""

    def __init__(self, consumer: AIOKafkaConsumer, hosts: Hosts) -> None:
        self._consumer = consumer
        self._hosts = hosts

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing: whoever gets a partition fences the one who had it."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Partitions of all sources move together, since all topics are split alike."""
        self._consumer.pause(*assigned)
        await self._hosts.assign({place.partition for place in assigned})


async def run_plain(
    plan: WorkerPlan, metrics: WorkerMetrics, stopping: asyncio.Event, instance: str | None = None
) -> None:
    """Run a stage until `stopping` is set; raises what no restart can mend.

    instance: a name of this worker in its group: one that restarts under it within the session's timeout gets its
    partitions back at once.
    """
    hosts = Hosts(plan, metrics)
    consumer = await _joined(plan, hosts, stopping, instance)
    if consumer is None:
        return
    try:
        while not stopping.is_set() and not hosts.failed.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _COMMIT_SECONDS)
            await consumer.getmany(timeout_ms=0)  # all is paused: it only says that this member is alive
            await _commit(consumer, hosts.positions())
    finally:
        await hosts.stop()
        with contextlib.suppress(KafkaError):
            await _commit(consumer, hosts.positions())
        await close(consumer)
    if hosts.failed.done():
        await hosts.failed


async def _joined(
    plan: WorkerPlan, hosts: Hosts, stopping: asyncio.Event, instance: str | None
) -> AIOKafkaConsumer | None:
    """A started member of the group; a broker that goes away meanwhile is waited for, until `stopping` is set."""
    settings = plan.settings
    while not stopping.is_set():
        consumer = AIOKafkaConsumer(
            **settings.client(),
            client_id=client_id(plan.program),
            group_id=plan.group,
            group_instance_id=instance,
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 4,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        topics = [settings.topic(topic) for topic in plan.stage.reads]
        consumer.subscribe(topics, listener=_Membership(consumer, hosts))
        try:
            await consumer.start()
        except KafkaConnectionError:
            await close(consumer)
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            return consumer
    return None


async def _commit(consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
    """For those who look at the group's lag; where a worker goes on is in its stored state."""
    mine = {place: at for place, at in positions.items() if place in consumer.assignment()}
    if mine:
        with contextlib.suppress(KafkaError, IllegalStateError):
            await consumer.commit(mine)
