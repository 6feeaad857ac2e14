"""Event files of TensorBoard, written without it: scalars by step, each a record with two checksums.

A record is its length, the masked CRC-32C of the length, the bytes, and their masked CRC-32C
(tensorflow/core/lib/io/record_writer); the bytes are an Event of tensorflow/core/util/event.proto.
"""

import struct
import time
from pathlib import Path
from types import TracebackType

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reversed


def _table() -> tuple[int, ...]:
    out = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        out.append(byte)
    return tuple(out)


_TABLE = _table()


def crc32c(raw: bytes) -> int:
    """Return the CRC-32C of bytes (RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in raw:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(raw: bytes) -> bytes:
    """The checksum of bytes as records hold it: rotated and shifted, since bytes may hold checksums themselves."""
    crc = crc32c(raw)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(raw: bytes) -> bytes:
    """Return bytes as a record."""
    length = struct.pack("<Q", len(raw))
    return length + _masked(length) + raw + _masked(raw)


def _field(number: int, raw: bytes) -> bytes:
    """A field of a protocol buffer that holds bytes."""
    return _number(number << 3 | 2) + _number(len(raw)) + raw


def _number(value: int) -> bytes:
    """A number of a protocol buffer: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def scalars(step: int, values: dict[str, float], when: float) -> bytes:
    """Return an Event with scalars by name at a step; when: UNIX seconds."""
    summary = b"".join(
        _field(1, _field(1, name.encode()) + _number(2 << 3 | 5) + struct.pack("<f", value))
        for name, value in values.items()
    )
    head = _number(1 << 3 | 1) + struct.pack("<d", when) + _number(2 << 3) + _number(step)
    return head + _field(5, summary)


class EventFile:
    """An event file that is appended to, in a folder that TensorBoard is pointed at."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self._file = (folder / f"events.out.tfevents.{now:.6f}.windvane").open("wb")
        version = _number(1 << 3 | 1) + struct.pack("<d", now) + _field(3, b"brain.Event:2")
        self._file.write(record(version))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append scalars by name at a step."""
        self._file.write(record(scalars(step, values, time.time())))
        self._file.flush()

    def __enter__(self) -> "EventFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
