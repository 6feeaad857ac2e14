"""What is wrong on one partition: what its worker says, and what becomes a trouble when the clock has run for long."""

import time
from collections import Counter
from collections.abc import Callable

from windvane.infra.telemetry.logs import Log
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams import reports
from windvane.streams.troubles import Trouble, Troubles
from windvane.streams.worker import StageWorker

LONG_SECONDS = 10.0
"""What waits for so long is a trouble."""

_CALM_SECONDS = 30.0
"""Between two looks whether a feed still sends what is refused: its trouble is over after one to two of them."""

_MANY_RESTARTS = 3


class TroubleWatch:
    """Looks at a partition again and again, and tells metrics and the log what is wrong.

    clock: returns seconds, never fewer than before.
    """

    def __init__(
        self,
        partition: int,
        metrics: WorkerMetrics,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.troubles: Troubles = {}
        self._partition = partition
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._since: dict[str, tuple[int, float]] = {}  # by book what waits, and since when
        self._calmed = clock()

    def look(self, worker: StageWorker, whole: Trouble | None) -> None:
        """Take note of what is wrong now. whole: what is wrong with the whole partition, None where nothing is."""
        now = self._clock()
        if now - self._calmed >= _CALM_SECONDS:
            worker.logic.calm()
            self._calmed = now
        lasting = reports.lasting(worker.logic)
        self._since = {
            book: (mark, self._since[book][1] if self._since.get(book, (None,))[0] == mark else now)
            for book, (mark, _) in lasting.items()
        }
        long = {book for book, (_, since) in self._since.items() if now - since > LONG_SECONDS}
        for book, (seq, topics) in reports.stalled(worker.logic).items():
            mark, since = self._since[book]
            if book in long and mark == seq:
                seconds = now - since
                self._metrics.waiting(self._partition, book, topics[0], seconds)
                self._log.warning("waiting", book=book, seq=seq, topic=topics[0], seconds=round(seconds))
        found = {book: lasting[book].trouble for book in long} | dict(worker.troubles())
        self._tell(found if whole is None else {**found, "": whole})

    def restarting(self, reason: str, times: int) -> None:
        """Take note that the partition begins anew, for the so many-th time one after the other."""
        if times >= _MANY_RESTARTS:
            text = f"the partition begins anew again and again: {reason}; look at the broker and at the disk"
            self._tell({**self.troubles, "": Trouble("restarting", text)})

    def _tell(self, found: Troubles) -> None:
        for book, trouble in found.items():
            if self.troubles.get(book, Trouble("", "")).code != trouble.code:
                self._log.warning("trouble", book=book, code=trouble.code, text=trouble.text)
        for book, trouble in self.troubles.items():
            if book not in found:
                self._log.info("trouble over", book=book, code=trouble.code)
        self.troubles = found
        self._metrics.troubles(self._partition, Counter(trouble.code for trouble in found.values()))
