"""The binding on aiokafka alone: the group decides who has which partition, and each partition reads for itself.

A partition that stays with its worker goes on undisturbed while the group rebalances around it.
"""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError

from windvane.infra.kafka.broker.clients import close, connect
from windvane.infra.kafka.broker.groups import client_id
from windvane.infra.kafka.worker.hosts import Hosts
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.metrics import WorkerMetrics

SESSION_MS = 6000
_COMMIT_SECONDS = 2.0
_COMMIT_MOST_SECONDS = 3.0
_AGAIN_SECONDS = 0.5


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Starts and stops partitions as the group decides; aiokafka calls it while it rebalances, which waits for it.

    Its consumer is a member of the group and reads nothing.
    """

    def __init__(self, consumer: AIOKafkaConsumer, hosts: Hosts) -> None:
        self._consumer = consumer
        self._hosts = hosts

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Do nothing: the worker that gets a partition fences the one that had it."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Run the partitions assigned; those of all sources move together, since all topics have equally many."""
        self._consumer.pause(*assigned)
        await self._hosts.assign({place.partition for place in assigned})
        if not assigned:
            self._hosts.spare()


async def run_plain(
    plan: WorkerPlan, metrics: WorkerMetrics, stopping: asyncio.Event, instance: str | None = None
) -> None:
    """Run a stage until `stopping` is set; raises StateError for what no restart can mend.

    instance: a lasting name of this worker in its group: where it restarts under that name within the session's
    timeout, it gets its partitions back at once.
    """
    hosts = Hosts(plan, metrics)
    consumer = await _joined(plan, hosts, stopping, instance)
    if consumer is None:
        return
    try:
        while not stopping.is_set() and not hosts.failed.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _COMMIT_SECONDS)
            await consumer.getmany(
                timeout_ms=0
            )  # every place is paused: the call only keeps the member in its group
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
    """A started member of the group, None where `stopping` was set first; it waits for a broker that is away."""
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
            await connect(consumer)
        except KafkaConnectionError:
            await close(consumer)
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            return consumer
    return None


async def _commit(consumer: AIOKafkaConsumer, positions: dict[TopicPartition, int]) -> None:
    """Commit offsets for those who look at the group's lag; a worker goes on from its stored state, not from them.

    aiokafka would try again for ever where the group's coordinator is away, and a worker that is to stop with it.
    """
    mine = {place: at for place, at in positions.items() if place in consumer.assignment()}
    if mine:
        with contextlib.suppress(KafkaError, IllegalStateError, TimeoutError):
            async with asyncio.timeout(_COMMIT_MOST_SECONDS):
                await consumer.commit(mine)
