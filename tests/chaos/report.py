"""What a person who waits for the suite sees."""

import sys
import time

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """A line with the seconds since the start, at once."""
    sys.stdout.write(f"{time.monotonic() - _BEGAN:7.1f} s  {text}\n")
    sys.stdout.flush()
