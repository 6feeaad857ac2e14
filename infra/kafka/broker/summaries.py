"""What workers tell on the compacted topic PREFIX.summaries, from which `windvane status` knows every book.

Three kinds of records of each stage (and its agents) lie on each partition. Under the key NAME is the worker: who runs
the partition, since when and how far behind; it is a sign of life. Under NAME#0, NAME#1, ... are its books, in as many
parts as they need; these are written only where something has changed. NAME is that of the stage's stored states. Under
removed/BOOK is a book that a person has taken out of the lists.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.clients import ends_of
from windvane.infra.kafka.broker.layout import SUMMARIES
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.streams.summaries import BookSummary, Opening

TELL_SECONDS = 5.0
"""A worker tells of its books so often where something has changed, and twice as often at least that it lives."""

SILENT_SECONDS = 30.0
"""A worker that has told nothing for so long has stopped, or hangs."""

MOST_PART = 900_000
"""Bytes of one part of the books, below the largest record of the topic."""

STOPPED = "stopped"
"""The phase of a worker that was stopped by hand and has said so."""

_PART = "#"
_REMOVED = "removed/"
_READ_MS = 300
_QUIET_SECONDS = 5.0


class WorkerSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who runs a stage on a partition, and how it goes."""

    at: float  # UNIX s of the worker's clock
    name: str  # of the stage's states: the stage, and a digest of its agents where workers share them
    stage: str
    agents: tuple[str, ...] = ()  # those that it computes for, where workers share them
    partition: int
    version: str
    code: str  # digest of the program
    host: str
    pid: int
    listens: str = ""  # HOST:PORT of its metrics, "" where it serves none
    phase: str  # recovering, working, restarting or stopped
    trouble: str = ""  # why the partition does not do its work
    lag: dict[str, int] = {}  # by topic, records that are not read yet
    positions: dict[str, int] = {}  # by topic, offset of the next record to be read


class BooksPart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the books of a stage on a partition."""

    at: float  # UNIX s of the worker's clock
    part: int = 0
    parts: int = 1
    openings: dict[str, Opening] = {}  # by their key, of the books of this part
    books: list[BookSummary] = []
    row_at: list[
        int
    ] = []  # of each book, when its last row was worked off, UNIX s; 0 where that is not known
    troubles: dict[str, tuple[str, str]] = {}  # by book, code and text; "" is the whole partition


class Told(NamedTuple):
    """The last that a stage told of a partition."""

    worker: WorkerSummary | None
    books: list[BooksPart]


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A closed book that a person has taken out of the lists."""

    at: float  # UNIX s
    book: str


class Summaries(NamedTuple):
    """All that is told."""

    told: dict[tuple[str, int], Told]  # by name and partition
    removed: dict[str, Removed]  # by book


T = TypeVar("T")


def in_parts(
    at: float,
    books: Sequence[BookSummary],
    openings: Mapping[str, Opening],
    row_at: Mapping[str, int],
    troubles: Mapping[str, tuple[str, str]],
) -> list[bytes]:
    """The books of a partition as records of at most MOST_PART bytes, except for one book that is larger alone.

    openings: by key of settings; row_at: by book; troubles: by book, "" for the partition.
    """
    pieces = [list(books)]
    while True:
        raws = [
            _encoded(at, part, len(pieces), piece, openings, row_at, troubles)
            for part, piece in enumerate(pieces)
        ]
        if all(len(raw) <= MOST_PART or len(piece) <= 1 for raw, piece in zip(raws, pieces, strict=True)):
            return raws
        pieces = [half for raw, piece in zip(raws, pieces, strict=True) for half in _halves(raw, piece)]


def _halves(raw: bytes, piece: list[BookSummary]) -> Iterator[list[BookSummary]]:
    if len(raw) <= MOST_PART or len(piece) <= 1:
        yield piece
    else:
        middle = len(piece) // 2
        yield piece[:middle]
        yield piece[middle:]


def _encoded(
    at: float,
    part: int,
    parts: int,
    books: list[BookSummary],
    openings: Mapping[str, Opening],
    row_at: Mapping[str, int],
    troubles: Mapping[str, tuple[str, str]],
) -> bytes:
    mine = {book.book for book in books} | ({""} if part == 0 else set())
    told = BooksPart(
        at=at,
        part=part,
        parts=parts,
        openings={book.settings: openings[book.settings] for book in books},
        books=books,
        row_at=[row_at.get(book.book, 0) for book in books],
        troubles={book: trouble for book, trouble in troubles.items() if book in mine},
    )
    return msgspec.json.encode(told)


def key_of_part(name: str, part: int) -> bytes:
    """The key of a part of the books."""
    return f"{name}{_PART}{part}".encode()


def key_of_removed(book: str) -> bytes:
    """The key of a book that was taken out of the lists."""
    return f"{_REMOVED}{book}".encode()


async def read_summaries(
    reader: AIOKafkaConsumer, settings: KafkaSettings, partitions: Iterable[int]
) -> Summaries:
    """The last that every stage told of these partitions; records that cannot be read are passed over."""
    places = [TopicPartition(settings.topic(SUMMARIES), partition) for partition in partitions]
    first, ends = await ends_of(reader, places)
    newest: dict[tuple[str, int], bytes] = {}
    reader.assign(places)
    for place in places:
        reader.seek(place, first[place])
    unread = [place for place in places if first[place] < ends[place]]
    moved, at = time.monotonic(), dict(first)
    while unread and time.monotonic() - moved < _QUIET_SECONDS:
        for place, records in (await reader.getmany(*unread, timeout_ms=_READ_MS)).items():
            for record in records:
                newest[(record.key or b"").decode(errors="replace"), place.partition] = record.value or b""
        before, at = at, {place: await reader.position(place) for place in places}
        moved = time.monotonic() if at != before else moved
        unread = [place for place in unread if at[place] < ends[place]]
    return _assembled(newest)


def _assembled(newest: Mapping[tuple[str, int], bytes]) -> Summaries:
    """Workers with their books, of which those parts count that the first part knows of; and the removed books."""
    told: dict[tuple[str, int], Told] = {}
    removed: dict[str, Removed] = {}
    for key, partition in newest:
        if key.startswith(_REMOVED):
            one = _decoded(newest[key, partition], Removed)
            removed |= {} if one is None else {one.book: one}
    names = ((key.partition(_PART)[0], place) for key, place in newest if not key.startswith(_REMOVED))
    for name, partition in dict.fromkeys(names):
        worker = _decoded(newest.get((name, partition), b""), WorkerSummary)
        parts: list[BooksPart] = []
        number = 1
        while len(parts) < number:
            part = _decoded(newest.get((f"{name}{_PART}{len(parts)}", partition), b""), BooksPart)
            if part is None:
                break
            number = part.parts if not parts else number
            parts.append(part)
        if worker is not None or parts:
            told[name, partition] = Told(worker, parts)
    return Summaries(told, removed)


def _decoded(raw: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return None
