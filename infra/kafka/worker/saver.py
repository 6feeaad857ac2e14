"""Stores the states of a partition while its work goes on, one after the other."""

import asyncio
import time
from collections.abc import Callable

from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.metrics import WorkerMetrics


class Saver:
    """Stores states whose outputs are all acknowledged; a partition starts again from the newest stored one."""

    def __init__(self, plan: WorkerPlan, partition: int, metrics: WorkerMetrics) -> None:
        self._plan = plan
        self._partition = partition
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    async def save(self, state: Callable[[], bytes], *, last: bool) -> bool:
        """Begin to store a state unless the one before is still being stored; returns whether it was begun.

        state: called only where it is begun. last: wait until the one before and this one are stored. Raises what
        storing the one before, or the last one, has raised.
        """
        if self._task is not None:
            if not self._task.done() and not last:
                return False
            await self._task
        self._task = asyncio.create_task(self._store(state()))
        if last:
            await self._task
        return True

    async def settle(self) -> None:
        """Wait until nothing is being stored, so that no older state comes after a newer one; raises nothing."""
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task = None

    async def _store(self, state: bytes) -> None:
        began = time.perf_counter()
        self._plan.strike("snapshot")
        await self._plan.store.save(self._plan.name, self._partition, state)
        self._plan.strike("saved")
        self._metrics.saved(self._partition, time.perf_counter() - began, len(state))
