"""Runs trainings in a child process, while this process goes on with its rows. Nothing here imports torch."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

from windvane.infra.training.child import read_frame, write_frame
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.events import TrainRequest, TrainResult
from windvane.streams.stage import StateError

_TRIES = 2


@cache
def has_torch() -> bool:
    """Whether torch is installed; it is looked up without being imported, which would take seconds."""
    return find_spec("torch") is not None


def check_torch() -> None:
    """Raise StateError, which says what to install, where torch is not installed."""
    if not has_torch():
        raise StateError(
            "retraining needs torch, which is not installed: install windvane[train], or give --retraining off"
        )


class ChildTrainer:
    """Trains one request after another in a child process, which is started again where it has died.

    A `streams.stage.Trainer`: the stage that retrains the predictor calls it with a request and waits for the future
    when it needs the result.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = ThreadPoolExecutor(1, "trainer")

    def start(self) -> None:
        """Start the process before the first request, since importing torch takes seconds; returns at once."""
        self._thread.submit(self._running)

    def __call__(self, request: TrainRequest) -> Future[TrainResult]:
        """Begin a training and return at once; the future holds the result when the training is done.

        Raises StateError where torch is not installed; the future raises it where the process died twice.
        """
        check_torch()
        return self._thread.submit(self._train, request)

    def _train(self, request: TrainRequest) -> TrainResult:
        """Send a request and wait for its result; where the process died, once more in a new one. Own thread only."""
        for _ in range(_TRIES):
            child = self._running()
            if child.stdin is None or child.stdout is None:
                raise RuntimeError("the trainer's process has no pipes")
            raw = None
            with contextlib.suppress(BrokenPipeError):
                write_frame(child.stdin, request.raw)  # type: ignore[arg-type]
                raw = read_frame(child.stdout)  # type: ignore[arg-type]
            if raw is not None:
                return TrainResult(book=request.book, version=request.version, raw=raw)
            self._end()
        raise StateError(
            f"the trainer's process ended {_TRIES} times over version {request.version} of book {request.book}: "
            "what it said stands above; give --retraining off to go without"
        )

    def _running(self) -> "subprocess.Popen[bytes]":
        """The child process, started where there is none or the last one has ended."""
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "windvane.infra.training.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # so Ctrl-C reaches only the parent, which may still need the result
            )
        return self._child

    def _end(self) -> None:
        """Kill the child process, if there is one, and close its pipes."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._child = None

    def close(self) -> None:
        """Kill the child process, in the middle of a training too, and drop the requests that wait."""
        child = self._child
        if child is not None:
            child.kill()
        self._thread.shutdown(cancel_futures=True)
        self._end()


@contextmanager
def trainer_for(*configs: TradingConfig) -> Iterator[ChildTrainer | None]:
    """Context manager: a started trainer, closed at the end, where a config retrains its predictor; else None.

    Raises StateError where one is needed and torch is not installed.
    """
    if not any(c.weighing.retraining for c in configs):
        yield None
        return
    check_torch()
    trainer = ChildTrainer()
    trainer.start()
    try:
        yield trainer
    finally:
        trainer.close()
