"""The trainings that one partition has under way; the partition's loop never waits for one."""

from windvane.streams.stage import StateError, Trainer, Training
from windvane.streams.worker import StageWorker

_LOOK_SECONDS = 0.005


class Trainings:
    """Hands a worker's requests to a trainer, and hands results back in the order of the requests."""

    def __init__(self, trainer: Trainer | None) -> None:
        self._trainer = trainer
        self._under_way: list[Training] = []

    def begin(self, worker: StageWorker) -> None:
        """Hand on the requests of the last step; raises StateError where the worker has no trainer for them."""
        for request in worker.requests():
            if self._trainer is None:
                raise StateError(f"book {request.book} is to be retrained, and this worker has no trainer")
            self._under_way.append(self._trainer(request))

    def answer(self, worker: StageWorker, usual: float) -> float:
        """Hand the worker the results that are ready, and return for how many seconds it may wait for records.

        usual: the longest wait. A result ends no wait for records, so while one is under way the waits are short.
        Called once a turn, before records are read.
        """
        ready = False
        while self._under_way and self._under_way[0].done():
            worker.answer(self._under_way.pop(0).result())
            ready = True
        if ready:
            return 0.0
        return min(usual, _LOOK_SECONDS) if self._under_way else usual
