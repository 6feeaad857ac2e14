"""Stores the states of a partition while its work goes on, one after the other."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.troubles import Trouble

_BOOKS_AT_ONCE = 4
"""Copied in one go, which takes a millisecond or two; the partition steps in between."""

_BYTES_A_SECOND = 500_000
"""So much is stored in the mean at most: to store a megabyte costs as much processor as to decide some thirty rows."""

_LONGEST_PAUSE = 30.0
"""Seconds between two states of however many books: a recovery computes the rows of so long again."""


class Saving(Protocol):
    """A state to be stored, as `windvane.streams.stored` has it."""

    def copy_some(self, most: int) -> bool:
        """Copy so many books at most; returns whether every book is copied."""
        ...

    def parts(self) -> list[bytes]:
        """What is to be stored, in parts."""
        ...


class Saver:
    """Stores states whose outputs are all acknowledged; a partition starts again from the newest stored one."""

    def __init__(self, plan: WorkerPlan, partition: int, metrics: WorkerMetrics) -> None:
        self._plan = plan
        self._partition = partition
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None
        self._since = time.monotonic()  # when the last state was stored that was due
        self.trouble: Trouble | None = None  # why states cannot be stored, None where they can
        self.pause = plan.save_seconds
        """Seconds that are to lie between two states."""

    async def save(self, state: Callable[[], Saving], *, last: bool) -> bool:
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

    async def _store(self, saving: Saving) -> None:
        began = time.perf_counter()
        while not saving.copy_some(_BOOKS_AT_ONCE):
            await asyncio.sleep(0)
        parts = await asyncio.to_thread(saving.parts)
        self._plan.strike("snapshot")
        try:
            await self._plan.store.save(self._plan.name, self._partition, parts)
        except OSError as error:
            self._refused(error)
            return
        self._plan.strike("saved")
        self.trouble, self._since = None, time.monotonic()
        self._metrics.unstored(self._partition, 0.0)
        size = sum(map(len, parts))
        self.pause = max(self._plan.save_seconds, min(_LONGEST_PAUSE, size / _BYTES_A_SECOND))
        self._metrics.saved(self._partition, time.perf_counter() - began, size)

    def idle(self) -> None:
        """Take note that the state in memory is the stored one."""
        self._since = time.monotonic()

    def _refused(self, error: OSError) -> None:
        why = error.strerror or str(error)
        text = f"states cannot be stored: {why} in {self._plan.store}: free space, or move them with --state"
        self.trouble = Trouble("not_stored", text)
        self._metrics.unstored(self._partition, time.monotonic() - self._since)
