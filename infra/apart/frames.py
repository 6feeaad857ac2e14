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


class LateError(Exception):
    """The other side has not read, or not answered, in time."""


def written(values: dict[str, Any]) -> bytes:
    """A frame."""
    raw = pack(values)
    return len(raw).to_bytes(8, "little") + raw


def write_until(fd: int, raw: bytes, deadline: float) -> None:
    """Write bytes to a pipe that does not block; deadline: monotonic seconds. Raises LateError or OSError."""
    at = 0
    while at < len(raw):
        if not select.select((), (fd,), (), max(deadline - time.monotonic(), 0.0))[1]:
            raise LateError
        at += os.write(fd, raw[at : at + _CHUNK])


class Incoming:
    """Frames that arrive on a pipe, one after the other."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held = bytearray()

    def read_until(self, deadline: float) -> dict[str, Any]:
        """The next frame; deadline: monotonic seconds. Raises LateError, EOFError, or ValueError for what is none."""
        while (frame := self._whole()) is None:
            if not select.select((self._fd,), (), (), max(deadline - time.monotonic(), 0.0))[0]:
                raise LateError
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
