"""All stages as processes on one machine: they are started, restarted when they die, and stopped together."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from windvane.infra.telemetry.logs import logger

_BACKOFF_SECONDS = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_STEADY_SECONDS = 30.0
_GRACE_SECONDS = 20.0
_REFUSED = 2  # the exit code of a worker that no restart can mend
_PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class _Child:
    stage: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    again: float = 0.0  # when to start it again
    restarts: int = field(default=0)


class Supervisor:
    """Keeps one process running for each stage.

    stages: the words after `windvane worker`; options: those that every one of them gets; web_port: of the first
    stage, the others have the next ones, None: the workers' own choice.
    """

    def __init__(self, stages: Sequence[str], options: Sequence[str], web_port: int | None) -> None:
        self._log = logger(stage="up")
        self._children = []
        for place, stage in enumerate(stages):
            port = [] if web_port is None else ["--web-port", str(web_port + place)]
            name = f"{socket.gethostname()}-{os.getpid()}-{place}"
            command = [sys.executable, "-m", "windvane", "worker", stage, *options, *port, "--instance", name]
            self._children.append(_Child(stage, command))

    def run(self, stopping: Callable[[], bool]) -> int:
        """Run until `stopping` returns true, or until a stage refuses to run; returns the exit code."""
        try:
            while not stopping():
                for child in self._children:
                    code = self._tend(child)
                    if code == _REFUSED:
                        self._log.error("a stage refuses to run, so all are stopped", worker=child.stage)
                        return _REFUSED
                time.sleep(0.05)
            return 0
        finally:
            self._stop()

    def _tend(self, child: _Child) -> int | None:
        """Start a stage that is due and not running; returns the exit code of one that has just ended."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.again:
                child.process = subprocess.Popen(child.command, preexec_fn=_die_with_parent)  # noqa: S603
                child.started = now
                self._log.info("stage started", worker=child.stage, pid=child.process.pid)
            return None
        code = child.process.poll()
        if code is None:
            return None
        child.process = None
        child.failures = 1 if now - child.started > _STEADY_SECONDS else child.failures + 1
        child.again = now + _BACKOFF_SECONDS[min(child.failures, len(_BACKOFF_SECONDS)) - 1]
        child.restarts += 1
        if code != _REFUSED:
            self._log.warning(
                "stage ended, starting it again", worker=child.stage, code=code, restarts=child.restarts
            )
        return code

    def _stop(self) -> None:
        """Ask all stages to stop, and kill those that have not stopped in time."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        until = time.monotonic() + _GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.warning("a stage did not stop in time and is killed", pid=process.pid)
                process.kill()
                process.wait()
        self._log.info("all stages stopped")


def _die_with_parent() -> None:
    """Run in a stage's new process: it dies with its supervisor where the system can, and Ctrl-C passes it by."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
