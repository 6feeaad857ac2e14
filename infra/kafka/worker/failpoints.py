"""Places where a test may kill the process: WINDVANE_FAILPOINT=STAGE:POINT:N is SIGKILL at the N-th passage."""

import os
import signal
from collections.abc import Callable

POINTS = ("read", "step", "send", "transaction", "commit", "snapshot", "saved", "recovering")
"""After reading; after the step; between sends; before the commit; after it; before and after a snapshot is stored;
while recovering."""

Failpoint = Callable[[str], None]


def failpoint(stage: str) -> Failpoint:
    """What a stage calls at each of POINTS; does nothing unless the environment names one of them."""
    asked = os.environ.get("WINDVANE_FAILPOINT", "").split(":")
    if len(asked) != 3 or asked[0] != stage:
        return lambda point: None
    left = int(asked[2])

    def strike(point: str) -> None:
        nonlocal left
        if point == asked[1]:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return strike
