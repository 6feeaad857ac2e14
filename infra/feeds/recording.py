"""Recordings: the frames of a live session as they came, so that what an exchange sent can be served again.

A recording is one or more gzip files of lines. The first line says what is recorded, each other line is one frame:

    {"exchange":"binanceusdm","native":"BTCUSDT","base":"BTC","quote":"USDT","offset":-1300000}
    {"at":1723161255088169167,"stream":"btcusdt@aggTrade","frame":"..."}
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from windvane.infra.feeds import binance_wire as wire
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Trade


class Head(msgspec.Struct, frozen=True):
    """exchange, native, base, quote: as in `Market`. offset: ns by which the exchange's clock was ahead."""

    exchange: str
    native: str
    base: str
    quote: str
    offset: int


class Frame(msgspec.Struct, frozen=True):
    """at: ns, this machine's clock. stream: the stream it came on, "" where it could not be told."""

    at: int
    stream: str
    frame: str


@dataclass(frozen=True)
class Recording:
    """What was recorded, frames in the order of arrival."""

    head: Head
    frames: list[Frame]

    @classmethod
    def read(cls, files: list[Path]) -> Recording:
        """Read the files of one recording; raises FeedError where one is none, or they belong to different ones."""
        heads: list[Head] = []
        frames: list[Frame] = []
        for file in files:
            lines = _lines(file)
            try:
                heads.append(msgspec.json.decode(next(lines, b""), type=Head))
                frames += [msgspec.json.decode(line, type=Frame) for line in lines]
            except msgspec.DecodeError as error:
                raise FeedError(f"{file} is no recording of --record-raw ({error}): give one") from error
        if len({(head.exchange, head.native) for head in heads}) > 1 or heads[0].exchange not in wire.VENUES:
            raise FeedError("these files are not one recording of Binance: give the parts of one")
        if not frames:
            raise FeedError(f"{files[0]} holds no frame: record for longer")
        return cls(heads[0], frames)

    def trades(self) -> Iterator[Trade]:
        """Trades of the frames that can be read, in the order of arrival."""
        for frame in self.frames:
            try:
                found = wire.parse_frame(frame.frame.encode(), frame.at, lambda: 0)
            except msgspec.DecodeError:
                continue
            if isinstance(found, Trade):
                yield found


def _lines(file: Path) -> Iterator[bytes]:
    """Lines of a file that may be cut off at its end, as a killed session leaves it."""
    try:
        with gzip.open(file, "rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
    except EOFError:
        return
    except (OSError, zlib.error) as error:
        raise FeedError(f"{file} is no gzip file ({error}): give a recording of --record-raw") from error


class Recorder:
    """Writes frames of one session to one file, up to a cap; what comes after is counted and dropped."""

    def __init__(self, path: Path, head: Head, most_bytes: int) -> None:
        """most_bytes: of frames before compression; about a tenth of it lands on disk. Raises OSError."""
        self.dropped = 0
        self._left = most_bytes
        self._stream = gzip.open(path, "ab", compresslevel=3)  # noqa: SIM115 - open for the whole session
        self._stream.write(msgspec.json.encode(head) + b"\n")

    def frame(self, frame: bytes, received: int) -> None:
        """Write one frame; received: ns, this machine's clock."""
        if self._left < len(frame):
            self.dropped += 1
            return
        self._left -= len(frame)
        line = Frame(received, wire.stream_of(frame), frame.decode(errors="replace"))
        self._stream.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """End the file."""
        self._stream.close()
