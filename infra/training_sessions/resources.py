"""Memory and CPU of this process."""

import os
from functools import cache
from typing import Any

LARGE_MB = 4000.0


@cache
def _process(pid: int) -> Any:
    """psutil's handle of a process, kept, since CPU use is measured from call to call on one handle."""
    import psutil

    process = psutil.Process(pid)
    process.cpu_percent()  # always 0 the first time: the next call measures from here on
    return process


def monitor_resources() -> tuple[float, float]:
    """Return this process's resident memory in MB (2^20 bytes), and its CPU use in percent of one core.

    The CPU use is that since the last call, and about 0 at the first call.
    """
    process = _process(os.getpid())
    return process.memory_info().rss / 2**20, float(process.cpu_percent())
