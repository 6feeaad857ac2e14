"""The clock of rows that timed books lack: it tells the gap timer the time, and whether all ticks are read."""

import time
from collections.abc import Callable

from aiokafka import TopicPartition

from windvane.infra.kafka.worker.inlet import Inlet
from windvane.streams.gap_timer import GapTimer
from windvane.streams.worker import StageWorker


class Gaps:
    """Gives up the rows that the timed books of one partition have waited for too long.

    ticks: the partition that the rows lie on, None for a stage that reads none; clock: returns ns, never fewer than
    before.
    """

    def __init__(
        self,
        worker: StageWorker,
        inlet: Inlet,
        ticks: TopicPartition | None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._worker = worker
        self._inlet = inlet
        self._ticks = ticks
        self._clock = clock
        self._timer = GapTimer()

    async def give_up_due(self) -> None:
        """Give up what is due; called once in every turn of the partition's loop, before its step."""
        if self._ticks is None:
            return
        late = self._timer.late(self._worker.holes(), self._clock())
        if late and await self._inlet.behind(self._ticks) == 0:
            for book, stop in late.items():
                self._worker.give_up(book, stop)
