"""The two processes of a soak, an exchange and a session, and what the system tells of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from windvane.infra.live.asking import ask
from windvane.infra.live.controls import ControlError
from windvane.infra.live.socket import Request

_WINDVANE = (sys.executable, "-m", "windvane")
_MB = 1e6


class SoakError(Exception):
    """What was not as it should be, in a sentence."""


@contextmanager
def exchange(capture: Path, speed: float, *words: str) -> Iterator[str]:
    """A local exchange that serves a capture; gives its address."""
    command = (*_WINDVANE, "exchange", str(capture), "--port", "0", "--speed", f"{speed:g}x", *words)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if " at " not in line:
            raise SoakError(f"the exchange did not begin: it said {line!r}")
        yield line.rsplit(" at ", 1)[1].strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20.0)
        if process.stdout is not None:
            process.stdout.close()


class Session:
    """`windvane live` in a process of its own; what it says goes to the end of a file."""

    def __init__(self, out: Path, said: Path, *words: str) -> None:
        self.out = out
        with said.open("a") as file:
            self._process = subprocess.Popen(
                (*_WINDVANE, "live", *words, "--out", str(out), "--retraining", "off"),
                stdout=file,
                stderr=file,
            )
        self.began = time.monotonic()

    def state(self) -> dict[str, Any] | None:
        """What the session says of itself, None before it has a book."""
        if self._process.poll() is not None:
            raise SoakError(f"the session ended by itself with code {self._process.returncode}")
        with contextlib.suppress(ControlError):
            return ask(self.out, Request("state"), 5.0)
        return None

    @property
    def rss(self) -> float:
        """MB of memory that it holds."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / _MB

    @property
    def processor(self) -> float:
        """Seconds of processor that it has taken."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stall(self, seconds: float) -> None:
        """Let it stand still."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """Ctrl-C, and the report."""
        self._process.send_signal(signal.SIGINT)
        if (code := self._process.wait(120.0)) != 0:
            raise SoakError(f"the session ended with code {code}")
