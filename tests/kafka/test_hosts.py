"""The partitions of a worker that stops."""

import asyncio
from pathlib import Path

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.worker.hosts import Hosts
from windvane.infra.kafka.worker.plan import plan_of
from windvane.infra.telemetry.metrics import WorkerMetrics


def test_a_group_that_is_joined_anew_while_the_worker_stops_starts_no_partition(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    async def stopped() -> list[int]:
        hosts = Hosts(plan_of("features", topics, 4, tmp_path), WorkerMetrics("features"))
        await hosts.assign({0, 1})
        stopping = asyncio.create_task(hosts.stop())
        await asyncio.sleep(0)
        await hosts.assign({0, 1, 2})
        await stopping
        await hosts.assign({3})
        return [p for p in range(4) if hosts[p] is not None]

    assert asyncio.run(stopped()) == []
