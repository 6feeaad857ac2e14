"""The trainings that one partition has under way; its loop never waits for one."""

from windvane.streams.stage import StateError, Trainer, Training
from windvane.streams.worker import StageWorker

_LOOK_SECONDS = 0.005


class Trainings:
    """Requests of a worker handed to a trainer, results handed back as they come, in the order asked."""

    def __init__(self, trainer: Trainer | None) -> None:
        self._trainer = trainer
        self._under_way: list[Training] = []

    def begin(self, worker: StageWorker) -> None:
        """Hand on what the last step asked for; raises StateError where nobody can train it."""
        for request in worker.requests():
            if self._trainer is None:
                raise StateError(f"book {request.book} is to be retrained, and this worker has no trainer")
            self._under_way.append(self._trainer(request))

    def answer(self, worker: StageWorker, usual: float) -> float:
        """Give the worker what is ready, for its next step; gives how long to wait for records until then.

        usual: the longest wait. A result wakes nobody up, so while one is awaited it is looked for often.
        """
        ready = False
        while self._under_way and self._under_way[0].done():
            worker.answer(self._under_way.pop(0).result())
            ready = True
        if ready:
            return 0.0
        return min(usual, _LOOK_SECONDS) if self._under_way else usual
