"""Stores the states of a partition while its work goes on, one after the other."""

import asyncio
import time
from collections.abc import Callable

from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.troubles import Trouble


class Saver:
    """Stores states whose outputs are all acknowledged; a partition starts again from the newest stored one."""

    def __init__(self, plan: WorkerPlan, partition: int, metrics: WorkerMetrics) -> None:
        self._plan = plan
        self._partition = partition
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._since = time.monotonic()  # when the last state was stored that was due
        self.trouble: Trouble | None = None  # why states cannot be stored, None where they can

    async def save(self, state: Callable[[], bytes], *, last: bool) -> bool:
        """Begin to store a state unless the one before is still being stored; returns whether it was begun.

        state: called only where it is begun. last: wait until the one before and this one are stored. Where a disk
        refuses a state, the partition works on with its state in memory, and the next one is tried in its turn. Raises
        what a broker answered to the one before, or the last one.
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
        try:
            await self._plan.store.save(self._plan.name, self._partition, state)
        except OSError as error:
            self._refused(error)
            return
        self._plan.strike("saved")
        self.trouble, self._since = None, time.monotonic()
        self._metrics.unstored(self._partition, 0.0)
        self._metrics.saved(self._partition, time.perf_counter() - began, len(state))

    def idle(self) -> None:
        """Take note that the state in memory is the stored one."""
        self._since = time.monotonic()

    def _refused(self, error: OSError) -> None:
        why = error.strerror or str(error)
        text = f"states cannot be stored: {why} in {self._plan.store}: free space, or move them with --state"
        self.trouble = Trouble("not_stored", text)
        self._metrics.unstored(self._partition, time.monotonic() - self._since)
