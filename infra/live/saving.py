"""Saver: brings snapshots to disk in a thread of its own, so that no row waits for a disk."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Saver:
    """One job at a time. A disk that refuses one is told of, and the next one is tried in its turn."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "saver")
        self._job: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None and not self._job.done()

    def save(self, job: Callable[[], None]) -> None:
        """Begin a job; the one before must be done, or is waited for."""
        self.wait()
        self._job = self._thread.submit(job)

    def trouble(self) -> str:
        """Why the last job failed, "" where it did not; the same failure is told once."""
        job = self._job
        if job is None or not job.done():
            return ""
        error, self._job = job.exception(), None
        if error is None:
            return ""
        if not isinstance(error, OSError):
            raise error
        why = error.strerror or str(error)
        return f"the state cannot be stored ({why}): free space; a restart would go on from an older state"

    def wait(self) -> None:
        """Wait until nothing is being stored; whether it failed is for `trouble`."""
        if self._job is not None:
            self._job.exception()

    def close(self) -> None:
        """Wait for the last job and end the thread."""
        self._thread.shutdown()
