"""An agent whose code runs in a child process: where that hangs or dies it is replaced, and nobody waits for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.benching import HUNG, RAISED
from windvane.agents.guest import GuestError
from windvane.infra.apart.frames import Incoming, write_until, written

START_SECONDS = 60.0
_SECONDS_A_ROW = 0.005
_LEAST_PAUSE, _MOST_PAUSE = 0.5, 60.0
_NO_ROWS = np.zeros(0)
_CACHE = "WINDVANE_CACHE"


class ApartAgent(Agent):
    """The agent that `word` names, called `name`, in a process of its own.

    seconds: that a call may take, and 5 ms more a row; a child that takes longer is killed and started again. Raises
    GuestError where the agent cannot be made, and in `propose` while no child answers.
    """

    def __init__(self, name: str, word: str, seconds: float) -> None:
        self.name = name
        self._word, self._seconds = word, seconds
        self._restores = False  # whether the child has to be told the state before it is asked
        self._child: _Child | None = _Child(word)
        self._starting = False  # whether the child was not heard of yet, though nobody waits for it
        self._start_at, self._pause = (
            0.0,
            _LEAST_PAUSE,
        )  # monotonic seconds, and seconds before one more start
        hello = self._said(self._child, time.monotonic() + START_SECONDS, "be made")
        self.version, self.warmup = str(hello["version"]), int(hello["warmup"])
        self._state = _state_in(hello)

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """As `Agent` says; raises GuestError where there is no answer in time, or one that cannot be used."""
        answer = self._ask({"x": x, "price": price, "good": good}, "propose")
        self._state = _state_in(answer)
        return Proposal(answer["target"], answer["action"], answer["confidence"])

    def state(self) -> dict[str, Floats]:
        """As `Agent` says: what the child remembered when it answered last."""
        return {name: value.copy() for name, value in self._state.items()}

    def restore(self, state: dict[str, Floats]) -> None:
        """As `Agent` says; raises GuestError where the child cannot go on from it, or none is ready."""
        self._state, self._restores = {n: np.array(v) for n, v in state.items()}, True
        self._ask({"x": np.zeros((0, 50)), "price": _NO_ROWS, "good": _NO_ROWS}, "go on from its state")

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _ask(self, request: dict[str, Any], what: str) -> dict[str, Any]:
        child = self._awaited()
        deadline = time.monotonic() + self._seconds + _SECONDS_A_ROW * len(request["price"])
        state = {f"state.{n}": v for n, v in self._state.items()} if self._restores else {}
        try:
            child.write({"restores": self._restores, **state, **request}, deadline)
        except TimeoutError as error:
            raise self._ended(HUNG, f"did not {what} in time") from error
        except OSError as error:
            raise self._ended(RAISED, f"cannot {what}: its process has ended") from error
        answer = self._said(child, deadline, what)
        self._restores, self._pause = False, _LEAST_PAUSE
        return answer

    def _awaited(self) -> _Child:
        """The child, once it is ready; raises GuestError before that, for nobody waits for a start."""
        now = time.monotonic()
        if self._child is None and now >= self._start_at:
            self._child, self._starting, self._restores = _Child(self._word), True, True
        if self._child is None:
            raise GuestError(f"agent {self.name} is being started again", HUNG)
        if self._starting:
            self._said(self._child, now, "be started again")
            self._starting = False
        return self._child

    def _said(self, child: _Child, deadline: float, what: str) -> dict[str, Any]:
        """The next frame of the child; raises GuestError where it is none, tells of an error, or is late."""
        try:
            answer = child.incoming.read_until(deadline)
        except TimeoutError as error:
            if self._starting:
                raise GuestError(f"agent {self.name} is being started again", HUNG) from error
            raise self._ended(HUNG, f"did not {what} in time") from error
        except (EOFError, OSError, ValueError) as error:
            raise self._ended(RAISED, f"cannot {what}: its process has ended") from error
        if "error" in answer:
            self._restores = True
            raise GuestError(answer["error"], answer["fault"])
        return answer

    def _ended(self, fault: int, why: str) -> GuestError:
        """Kill the child, of which another takes the place after a pause; returns what to raise."""
        self.close()
        self._start_at = time.monotonic() + self._pause
        self._pause = min(2.0 * self._pause, _MOST_PAUSE)
        return GuestError(f"agent {self.name} {why}", fault)


class _Child:
    """The process, and the pipes to and from it."""

    def __init__(self, word: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "windvane.infra.apart.child", word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=_environment(),
        )
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._to = self._process.stdin.fileno()
        os.set_blocking(self._to, False)
        self.incoming = Incoming(self._process.stdout.fileno())

    def write(self, values: dict[str, Any], deadline: float) -> None:
        write_until(self._to, written(values), deadline)

    def close(self) -> None:
        """Kill the process, and wait for its end."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __del__(self) -> None:
        if self._process.poll() is None:
            self.close()


def _environment() -> dict[str, str]:
    """What the child knows: where modules and compiled kernels lie, and no key, token or password of this program."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("WINDVANE_") or name == _CACHE
    }
    return {**ours, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _state_in(answer: dict[str, Any]) -> dict[str, Floats]:
    return {n.removeprefix("state."): v for n, v in answer.items() if n.startswith("state.")}
