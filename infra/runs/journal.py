"""The journal: what was on the topics of a run, in order, in files that survive a crash.

A record is its length and CRC-32, then the topic and the packed event, compressed by zstd. A crash may leave a torn
last record: readers stop before it, and a writer that goes on cuts it off.

A backtest writes one file, FOLDER/events.wvj. A session that goes on for weeks writes a file a UTC day: those of days
that are over lie in FOLDER/2024-01-31/events.wvj and so on, and are read first. A record without a topic is a mark,
which is of the writer's own: `read` passes over it.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from windvane.agents.errors import WindvaneError
from windvane.streams.codec import WireError, from_packed, to_packed
from windvane.streams.events import Event
from windvane.streams.topics import TOPICS, Topic

FILE = "events.wvj"
_DAYS = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_MAGIC = b"WINDVANE JOURNAL 1\n"
_HEAD = struct.Struct("<II")
_LEVEL = 1
_BY_NAME = {topic.name: topic for topic in TOPICS}


class JournalError(WindvaneError):
    """A journal that cannot be read: one sentence that says which, and why."""


class Record(NamedTuple):
    """A whole record of a file."""

    end: int  # offset after it
    topic: Topic | None  # None of a mark
    event: Event | None  # None of a mark
    mark: bytes  # empty of an event


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
        self._append(topic.name.encode(), to_packed(event))

    def mark(self, raw: bytes) -> None:
        """Append what whoever goes on with this journal is to know, and no event says."""
        self._append(b"", raw)

    def _append(self, name: bytes, raw: bytes) -> None:
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

    def flush(self) -> int:
        """Hand all that was written to the system, which keeps it when this program dies; returns the offset."""
        self._file.flush()
        return self._file.tell()

    def sync(self) -> int:
        """Bring all that was written to disk, which keeps it when power fails; returns the offset of the end."""
        at = self.flush()
        self.bring_to_disk()
        return at

    def bring_to_disk(self) -> None:
        """The slow half of `sync`; another thread may call it while this one writes on."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Bring all that was written to disk and close the file, unless it is closed."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def __enter__(self) -> "JournalWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def days(folder: Path) -> list[Path]:
    """The folders of the days that are over, the oldest first."""
    return [path.parent for path in sorted(folder.glob(f"{_DAYS}/{FILE}"))]


def parts(folder: Path) -> list[Path]:
    """The folders of all files of a journal, in the order in which they were written."""
    return [*days(folder), *([folder] if (folder / FILE).is_file() else [])]


def find(path: Path) -> Path:
    """The journal's folder that a path names, itself or by the run that wrote it; raises JournalError of neither."""
    for folder in (path, path / "journal"):
        if parts(folder):
            return folder
    raise JournalError(f"{path} holds no journal: name the folder that a run wrote, or its journal folder")


def read(folder: Path) -> Iterator[tuple[Topic, Event]]:
    """Every whole record in order, up to the end or a torn record; raises JournalError where the file is no journal."""
    for part in parts(folder):
        for _, topic, event, _ in records(part):
            if topic is not None and event is not None:
                yield topic, event


def records(folder: Path, at: int = 0) -> Iterator[Record]:
    """Every whole record of one file, marks too, from an offset on; as `read`."""
    import pyarrow

    codec = pyarrow.Codec("zstd")
    path = folder / FILE
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise JournalError(f"{path} is not a journal of this version: run the backtest again")
        file.seek(max(at, len(_MAGIC)))
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, crc = _HEAD.unpack(head)
            body = file.read(size)
            if size == 0 or len(body) != size or zlib.crc32(body) != crc:
                return  # a crash may also leave a tail of zeros
            cut = 1 + body[0]
            whole = int.from_bytes(body[cut : cut + 4], "little")
            try:
                raw = codec.decompress(body[cut + 4 :], whole, asbytes=True)
                topic = _BY_NAME[body[1:cut].decode()] if cut > 1 else None
                event = None if topic is None else from_packed(raw)
            except (KeyError, UnicodeDecodeError, OSError, WireError) as error:
                raise JournalError(f"{path} holds a record that cannot be read: {error}") from error
            yield Record(file.tell(), topic, event, raw if topic is None else b"")
