"""The partitions that a worker has: they are started and stopped as its group decides."""

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.worker.inlet import Inlet
from windvane.infra.kafka.worker.partition import PartitionHost
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.kafka.worker.telling import Teller
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.metrics import WorkerMetrics


class Hosts:
    """One PartitionHost for every partition assigned; the future `failed` gets the error that no restart can mend."""

    def __init__(
        self, plan: WorkerPlan, metrics: WorkerMetrics, inlet: Callable[[AIOKafkaConsumer], Inlet] = Inlet
    ) -> None:
        self.plan = plan
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._metrics = metrics
        self._teller = Teller(plan, metrics)
        self._new_inlet = inlet
        self._hosts: dict[int, PartitionHost] = {}
        self._crowd: dict[int, int] = {}
        self._changing = asyncio.Lock()
        self._ending = False
        self._log = logger(stage=plan.name)

    def __getitem__(self, partition: int) -> PartitionHost | None:
        return self._hosts.get(partition)

    async def assign(self, partitions: Iterable[int]) -> None:
        """Run these partitions and no others: stop those that have gone, start the new ones, leave the rest alone.

        Once `stop` is called none is started: the member may join its group anew before it leaves it.
        """
        async with self._changing:
            wanted = set() if self._ending else set(partitions)
            revoked = [self._hosts.pop(p) for p in self._hosts.keys() - wanted]
            await asyncio.gather(*(host.stop() for host in revoked))
            for host in revoked:
                self._metrics.released(host.partition)
                self._crowd.pop(host.partition, None)
            for partition in sorted(wanted - self._hosts.keys()):
                host = PartitionHost(
                    self.plan, partition, self._metrics, self._new_inlet, self._teller, self._crowd
                )
                self._hosts[partition] = host
                host.start().add_done_callback(self._ended)
            self._metrics.health.assigned(self._hosts)
            self._log.info("partitions assigned", partitions=sorted(self._hosts))

    def spare(self) -> None:
        """Say that the group has no partition for this worker."""
        partitions = self.plan.partitions
        why = (
            f"no partition assigned: the topics have {partitions}, and as many workers of the group have them, so this "
            "one is a spare until another leaves"
        )
        self._metrics.health.spare = why
        self._log.warning("worker is a spare", reason=why)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.failed.done():
            self.failed.set_exception(error)

    async def stop(self) -> None:
        """Stop all partitions once their states are stored, tell people so, and close the store."""
        mine = list(self._hosts)
        self._ending = True
        await self.assign(())
        await self._teller.close(mine)
        await self.plan.store.close()

    def positions(self) -> dict[TopicPartition, int]:
        """The offset to read next of every source of every partition."""
        return {place: at for host in self._hosts.values() for place, at in host.positions.items()}
