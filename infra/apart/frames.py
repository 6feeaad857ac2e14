"""What a process and the child that runs its agent say to each other: frames of arrays and JSON values.

A frame is a length, 8 bytes little-endian, and as many bytes of `windvane.streams.codec.pack`. No read or write waits
beyond its deadline.
"""

import os
import select
import time
from typing import Any

from windvane.streams.codec import pack, unpack

MOST_BYTES = 1 << 28
_CHUNK = 1 << 16


def written(values: dict[str, Any]) -> bytes:
    """A frame."""
    raw = pack(values)
    return len(raw).to_bytes(8, "little") + raw


def write_until(fd: int, raw: bytes, deadline: float) -> None:
    """Write bytes to a pipe that does not block; deadline: monotonic seconds.

    Raises TimeoutError where the other side has not read them by then, or another OSError.
    """
    at = 0
    while at < len(raw):
        if not _ready(fd, select.POLLOUT, deadline):
            raise TimeoutError
        at += os.write(fd, raw[at : at + _CHUNK])


def _ready(fd: int, event: int, deadline: float | None) -> bool:
    """Wait until a pipe can be read or written, or has ended; False where the deadline came first."""
    poller = select.poll()
    poller.register(fd, event)
    left = None if deadline is None else max(1000.0 * (deadline - time.monotonic()), 0.0)
    return bool(poller.poll(left))


class Incoming:
    """Frames that arrive on a pipe, one after the other."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held = bytearray()

    def read_until(self, deadline: float | None) -> dict[str, Any]:
        """The next frame; deadline: monotonic seconds, None: none.

        Raises TimeoutError, EOFError, or ValueError for what is no frame.
        """
        while (frame := self._whole()) is None:
            if not _ready(self._fd, select.POLLIN, deadline):
                raise TimeoutError
            chunk = os.read(self._fd, _CHUNK)
            if not chunk:
                raise EOFError
            self._held += chunk
        return frame

    def _whole(self) -> dict[str, Any] | None:
        if len(self._held) < 8:
            return None
        size = int.from_bytes(self._held[:8], "little")
        if size > MOST_BYTES:
            raise ValueError(f"a frame of {size:,} bytes")
        if len(self._held) < 8 + size:
            return None
        raw = bytes(self._held[8 : 8 + size])
        del self._held[: 8 + size]
        return unpack(raw)
