"""The journal: what was on the topics of a run, in order, in one file that survives a crash.

A record is its length and CRC-32, then the topic and the packed event, compressed by zstd. A crash may leave a torn
last record: readers stop before it, and a writer that goes on cuts it off.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from windvane.agents.errors import WindvaneError
from windvane.streams.codec import WireError, from_packed, to_packed
from windvane.streams.events import Event
from windvane.streams.topics import TOPICS, Topic

FILE = "events.wvj"
_MAGIC = b"WINDVANE JOURNAL 1\n"
_HEAD = struct.Struct("<II")
_LEVEL = 1
_BY_NAME = {topic.name: topic for topic in TOPICS}


class JournalError(WindvaneError):
    """A journal that cannot be read: one sentence that says which, and why."""


class JournalWriter:
    """Appends events to FOLDER/events.wvj; leaving the context brings it to disk and closes it.

    at: the offset to go on from, None: start anew. Raises JournalError where the file is shorter than that.
    """

    def __init__(self, folder: Path, at: int | None = None) -> None:
        import pyarrow

        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE
        self._codec = pyarrow.Codec("zstd", compression_level=_LEVEL)
        self._file: BinaryIO = path.open("wb" if at is None else "r+b")
        if at is None:
            self._file.write(_MAGIC)
        else:
            if self._file.seek(0, os.SEEK_END) < at:
                self._file.close()
                raise JournalError(f"{path} is shorter than its snapshot says: remove {folder} and run again")
            self._file.truncate(at)
            self._file.seek(at)

    def write(self, topic: Topic, event: Event) -> None:
        """Append one event, with the topic that it was on."""
        raw = to_packed(event)
        name = topic.name.encode()
        body = b"".join(
            (
                len(name).to_bytes(1, "little"),
                name,
                len(raw).to_bytes(4, "little"),
                self._codec.compress(raw, asbytes=True),
            )
        )
        self._file.write(_HEAD.pack(len(body), zlib.crc32(body)))
        self._file.write(body)

    def sync(self) -> int:
        """Bring all that was written to disk; returns the offset of the end."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sync()
        self._file.close()


def find(path: Path) -> Path:
    """The journal's folder that a path names, itself or by the run that wrote it; raises JournalError of neither."""
    for folder in (path, path / "journal"):
        if (folder / FILE).is_file():
            return folder
    raise JournalError(f"{path} holds no journal: name the folder that a run wrote, or its journal folder")


def read(folder: Path) -> Iterator[tuple[Topic, Event]]:
    """Every whole record in order, up to the end or a torn record; raises JournalError where the file is no journal."""
    import pyarrow

    codec = pyarrow.Codec("zstd")
    path = folder / FILE
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise JournalError(f"{path} is not a journal of this version: run the backtest again")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, crc = _HEAD.unpack(head)
            body = file.read(size)
            if size == 0 or len(body) != size or zlib.crc32(body) != crc:
                return  # a crash may also leave a tail of zeros
            cut = 1 + body[0]
            whole = int.from_bytes(body[cut : cut + 4], "little")
            try:
                topic = _BY_NAME[body[1:cut].decode()]
                event = from_packed(codec.decompress(body[cut + 4 :], whole, asbytes=True))
            except (KeyError, UnicodeDecodeError, OSError, WireError) as error:
                raise JournalError(f"{path} holds a record that cannot be read: {error}") from error
            yield topic, event
