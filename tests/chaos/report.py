"""Progress messages of the suite on stdout."""

import sys
import time

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """Write a line with the seconds since the start to stdout, and flush it."""
    sys.stdout.write(f"{time.monotonic() - _BEGAN:7.1f} s  {text}\n")
    sys.stdout.flush()
