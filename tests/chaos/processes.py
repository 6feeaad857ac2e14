"""The processes of a pipeline, one object each, by which it is started, killed, stopped and started again."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_GRACE_SECONDS = 40.0
_PR_SET_PDEATHSIG = 1


class Process:
    """A `windvane` command, which may run several times with the same arguments and appends to one log.

    environment: what it has besides the variables of this process.
    """

    def __init__(self, words: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.words = list(words)
        self._environment = environment or {}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.ended: int | None = None  # exit code of one that nobody here has ended
        self._before = 0  # length of the log when it was started last

    def start(self, failpoint: str = "") -> None:
        """Start it; failpoint: STAGE:POINT:N, where it is to kill itself."""
        with self.log.open("ab") as log:
            self._before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "windvane", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "WINDVANE_LOGS": "json",
                    "WINDVANE_FAILPOINT": failpoint,
                    **self._environment,
                },
                preexec_fn=_die_with_parent,
            )
        self.ended = None

    @property
    def runs(self) -> bool:
        """Whether it was started, and neither `poll` nor a method that ends it has seen its end since."""
        return self._process is not None

    def poll(self) -> int | None:
        """Return the exit code where it has ended by itself since it was started, else None."""
        if self._process is not None:
            self.ended = self._process.poll()
            if self.ended is not None:
                self._process = None
        return self.ended

    def kill(self) -> float:
        """Kill it by SIGKILL and wait for its end; returns the time.monotonic() of the kill."""
        process, self._process = self._process, None
        if process is None:
            raise RuntimeError(f"{self.log.stem} is not running: {self.log_end()}")
        now = time.monotonic()
        process.kill()
        process.wait()
        return now

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP or SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal to end, wait, and return its exit code; -9 where it had to be killed after 40 s."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def log_end(self, lines: int = 3) -> str:
        """Return the last lines of its log, joined into one."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join(text.splitlines()[-lines:])

    def logged(self, words: str) -> bool:
        """Whether its log has these words since it was started last."""
        return words.encode() in self.log.read_bytes()[self._before :]

    def count(self, words: str) -> int:
        """Return how often its log has these words, over all starts."""
        return self.log.read_text(errors="replace").count(words) if self.log.exists() else 0


def _die_with_parent() -> None:
    """Have the new process killed when the suite dies, on Linux; Ctrl-C reaches the suite only."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
