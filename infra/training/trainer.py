"""The trainer: a child process that learns while this one goes on. Nothing here imports torch."""

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
    """Whether torch, which is not imported here, is installed."""
    return find_spec("torch") is not None


def check_torch() -> None:
    """Raises StateError where torch is not installed."""
    if not has_torch():
        raise StateError(
            "retraining needs torch, which is not installed: install windvane[train], or give --retraining off"
        )


class ChildTrainer:
    """Trains one request after another in a process of its own, which starts again where it has died."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = ThreadPoolExecutor(1, "trainer")

    def start(self) -> None:
        """Start the process ahead of the first request: loading torch takes seconds."""
        self._thread.submit(self._running)

    def __call__(self, request: TrainRequest) -> Future[TrainResult]:
        """Begin a training; its result is waited for only by who asks for it.

        Raises StateError where torch is not installed.
        """
        check_torch()
        return self._thread.submit(self._train, request)

    def _train(self, request: TrainRequest) -> TrainResult:
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
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "windvane.infra.training.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the parent, which finishes its step
            )
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self._child = None

    def close(self) -> None:
        """End the process, whatever it is at."""
        child = self._child
        if child is not None:
            child.kill()
        self._thread.shutdown(cancel_futures=True)
        self._end()


@contextmanager
def trainer_for(*configs: TradingConfig) -> Iterator[ChildTrainer | None]:
    """A trainer where a book needs one; raises StateError where it needs one that cannot be had."""
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
