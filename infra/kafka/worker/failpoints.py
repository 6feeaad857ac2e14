"""Places where a test may kill the process: WINDVANE_FAILPOINT=STAGE:POINT:N kills it (SIGKILL) at the N-th passage."""

import os
import signal
from collections.abc import Callable

POINTS = ("read", "step", "send", "transaction", "commit", "snapshot", "saved", "recovering")
"""In this order: after records were read, after the step, between two batches sent, before the transaction is
committed, after it, before a state is stored, after it, and while a partition recovers.
"""

PART = "part"
"""Behind each part of a state that no record of the topic snapshots can hold."""

Failpoint = Callable[[str], None]


def failpoint(stage: str) -> Failpoint:
    """The function that a stage calls with each of POINTS; it does nothing unless the environment names this stage."""
    words = os.environ.get("WINDVANE_FAILPOINT", "").split(":")
    if len(words) != 3 or words[0] != stage:
        return lambda point: None
    passages = int(words[2])

    def strike(point: str) -> None:
        nonlocal passages
        if point == words[1]:
            passages -= 1
            if passages == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return strike
