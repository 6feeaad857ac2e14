"""What this process uses."""

import os
from functools import cache
from typing import Any

LARGE_MB = 4000.0


@cache
def _process(pid: int) -> Any:
    import psutil

    found = psutil.Process(pid)
    found.cpu_percent()  # the first answer says nothing: it is what the next one is measured from
    return found


def monitor_resources() -> tuple[float, float]:
    """Resident memory in MB (2^20 bytes), and CPU in percent of one core since the last call (0 at the first)."""
    process = _process(os.getpid())
    return process.memory_info().rss / 2**20, float(process.cpu_percent())
