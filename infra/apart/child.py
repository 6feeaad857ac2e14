"""The process of one agent: it reads requests from stdin and answers on stdout, each as a frame, until stdin ends.

It is started with the word that names the agent, as `--agents` takes it.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import Any

import numpy as np

from windvane.agents.factory import create_agents
from windvane.agents.guest import GuestError
from windvane.infra.apart.frames import Incoming, written
from windvane.metamodel.features.columns import NAMES


def main() -> None:
    """Answer requests until stdin ends."""
    out = os.dup(1)
    os.dup2(2, 1)  # what an agent prints goes to stderr, so that it cannot get between the frames
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _answer_once(sys.argv[1])
    (agent,) = create_agents([sys.argv[1]])
    _send(out, {"version": agent.version, "warmup": agent.warmup, **_state(agent)})
    requests = Incoming(0)
    while True:
        try:
            request = requests.read_until(None)
        except EOFError:
            return
        try:
            _send(out, _answer(agent, request))
        except GuestError as error:
            _send(out, {"error": str(error), "fault": error.fault})


def _answer_once(word: str) -> None:
    """Let another agent of this name answer a row: what it compiles or imports for that holds up no row of a market.

    What would take longer than an answer may is never done otherwise, since the process is killed in the middle of it.
    """
    (agent,) = create_agents([word])
    with suppress(GuestError):
        agent.propose(np.zeros((1, len(NAMES))), np.ones(1), np.ones(1, np.int64))


def _end_with(parent: int) -> None:
    """End this process once its parent is gone, though its agent hangs."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _answer(agent: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What the agent proposes, and its state after that. A request may restore the state from before."""
    if request["restores"]:
        agent.restore({n.removeprefix("state."): v for n, v in request.items() if n.startswith("state.")})
    if not len(request["price"]):
        return _state(agent)
    proposal = agent.propose(request["x"], request["price"], request["good"])
    return {**proposal._asdict(), **_state(agent)}


def _state(agent: Any) -> dict[str, Any]:
    return {f"state.{name}": value for name, value in agent.state().items()}


def _send(out: int, values: dict[str, Any]) -> None:
    raw = written(values)
    while raw:
        raw = raw[os.write(out, raw) :]


if __name__ == "__main__":
    main()
