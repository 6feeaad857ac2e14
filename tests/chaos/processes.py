"""The processes of a pipeline, one object each: started, killed, stopped and started again by their own id."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_GRACE_SECONDS = 40.0
_PR_SET_PDEATHSIG = 1


class Process:
    """A `windvane` command whose words stay the same whenever it is started; its log is appended to."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        self.words = list(words)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.ended: int | None = None  # exit code of one that nobody here has ended
        self._before = 0  # length of the log when it was started last

    def start(self, failpoint: str = "") -> None:
        """Run it; failpoint: STAGE:POINT:N, where it is to kill itself."""
        with self.log.open("ab") as log:
            self._before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "windvane", *self.words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "WINDVANE_LOGS": "json", "WINDVANE_FAILPOINT": failpoint},
                preexec_fn=_die_with_parent,
            )
        self.ended = None

    @property
    def runs(self) -> bool:
        """Whether it was started and nobody has seen it end."""
        return self._process is not None

    def poll(self) -> int | None:
        """The exit code if it has ended by itself since it was started."""
        if self._process is not None:
            self.ended = self._process.poll()
            if self.ended is not None:
                self._process = None
        return self.ended

    def kill(self) -> float:
        """SIGKILL; gives the time of it, monotonic."""
        process, self._process = self._process, None
        if process is None:
            raise RuntimeError(f"{self.log.stem} is not running: {self.told()}")
        now = time.monotonic()
        process.kill()
        process.wait()
        return now

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT and the like."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait; gives its exit code, -9 where it did not end in time."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def told(self, lines: int = 3) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return " | ".join(text.splitlines()[-lines:])

    def said(self, words: str) -> bool:
        """Whether its log says something since it was started last."""
        return words.encode() in self.log.read_bytes()[self._before :]

    def count(self, words: str) -> int:
        """How often its log says something."""
        return self.log.read_text(errors="replace").count(words) if self.log.exists() else 0


def _die_with_parent() -> None:
    """Where the system can: a suite that is killed leaves nothing behind. Ctrl-C is for the suite."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
