"""Topics as files: JSON lines and Parquet of every topic, and for every book a journal that can be replayed.

OUT/BOOK/TOPIC.jsonl has the records as they are, OUT/BOOK/TOPIC.parquet the rows as columns, OUT/BOOK/journal the log
of the book. Rows that a stage sent twice are in all of them once.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import quote

import msgspec
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.agent_keys import prover, signature_of
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import guard
from windvane.infra.kafka.tools.columns import ColumnsFile
from windvane.infra.kafka.worker.inlet import MS
from windvane.infra.runs.files import replace_file
from windvane.infra.runs.journal import JournalWriter
from windvane.streams.checks import Proven, decoded
from windvane.streams.codec import WireError
from windvane.streams.events import Batch, BookClosed, BookOpened, Control, Event, Model, cut
from windvane.streams.records import Fill, Order, fills_of, orders_of
from windvane.streams.topics import CONTROL, FILLS, MODELS, ORDERS, TICKS, TOPICS, Topic

_READ = 2000
_FIRST = (MODELS, CONTROL)
_IN_ORDER = (*_FIRST, *(topic for topic in TOPICS if topic not in _FIRST))
"""Topics in the order of the journal: a replay must know controls and models before the rows that they rule."""


class _Book:
    """The files of one book."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.whole = False  # whether the book ended
        self._stack = stack
        self._lines: dict[str, BinaryIO] = {}
        self._columns: dict[str, ColumnsFile] = {}
        self._done: dict[tuple[str, object], int] = {}
        self._singles: list[Order | Fill] = []
        self._journal = stack.enter_context(JournalWriter(folder / "journal"))

    def add(self, topic: Topic, raw: bytes, event: Event | Order | Fill) -> int:
        """Write a record unless it was written before; returns how many of its rows are new."""
        fresh = self._fresh(topic, event)
        if fresh is None:
            return 0
        if topic.name not in self._lines:
            self._lines[topic.name] = self._stack.enter_context(
                (self.folder / f"{topic.name}.jsonl").open("wb")
            )
            path = self.folder / f"{topic.name}.parquet"
            self._columns[topic.name] = self._stack.enter_context(ColumnsFile(path))
        self._lines[topic.name].write(raw + b"\n")
        if isinstance(fresh, Order | Fill):
            self._singles.append(fresh)
            if len(self._singles) >= _READ:
                self.flush()
        else:
            self._journal.write(topic, fresh)
            if isinstance(fresh, Batch) or not any(issubclass(kind, Batch) for kind in topic.carries):
                self._columns[topic.name].add(fresh)
        self.whole = self.whole or (topic == TICKS and isinstance(fresh, BookClosed))
        return len(fresh) if isinstance(fresh, Batch) else 1

    def flush(self) -> None:
        """Write the orders and fills that were collected, as batches."""
        orders = [single for single in self._singles if isinstance(single, Order)]
        fills = [single for single in self._singles if isinstance(single, Fill)]
        self._singles = []
        for topic, batch in ((ORDERS, orders and orders_of(orders)), (FILLS, fills and fills_of(fills))):
            if batch:
                self._journal.write(topic, batch)
                self._columns[topic.name].add(batch)

    def _fresh(self, topic: Topic, event: Event | Order | Fill) -> Event | Order | Fill | None:
        """The rows of an event that are new, None without any: a stage that starts again may send rows twice."""
        if isinstance(event, Order | Fill):
            return event  # each is on its topic once, since the ensemble writes in transactions
        if not isinstance(event, Batch):
            name = (topic.name, msgspec.json.encode(event))
            seen = name in self._done
            self._done[name] = 0
            return None if seen else event
        key = (topic.name, getattr(event, "agents", None))
        done = self._done.get(key, -1)
        if event.last <= done:
            return None
        self._done[key] = event.last
        start = int((event.seq <= done).sum())
        return cast(Event, cut(event, start, len(event)))


async def export(
    settings: KafkaSettings,
    out: Path,
    *,
    start: int | None,
    end: int | None,
    book: str | None,
    progress: Callable[[int], None],
) -> dict[str, int]:
    """Write the records that the broker got from `start` until before `end`; returns how many rows of each book.

    start and end: UNIX ns, None for no bound; book: only this one; progress: called with the rows written so far.
    """
    partitions = await layout.check(settings)
    chosen = range(partitions) if book is None else (partition_of(book, partitions),)
    believed, proven = guard(settings), prover(settings)
    rows: dict[str, int] = {}
    with ExitStack() as stack:
        books: dict[str, _Book] = {}
        for topic in _IN_ORDER:
            places = [TopicPartition(settings.topic(topic), p) for p in chosen]
            async with reading(settings) as reader:
                async for raw, received, signature in _records(reader, places, start, end):
                    event = _read(topic, raw, received, signature, proven)
                    if event is None or (book is not None and event.book != book):
                        continue
                    if isinstance(event, Control | Model) and not believed(event):
                        continue
                    if event.book not in books:
                        books[event.book] = _Book(out / quote(event.book or "none", safe=""), stack)
                    new = books[event.book].add(topic, raw, event)
                    rows[event.book] = rows.get(event.book, 0) + new
                    progress(sum(rows.values()))
                    if isinstance(event, BookOpened) and topic == TICKS:
                        _describe(books[event.book], event, settings)
            for one in books.values():
                one.flush()
    for one in books.values():
        path = one.folder / "journal" / "run.json"
        if path.is_file():
            info = orjson.loads(path.read_bytes())
            replace_file(path, orjson.dumps({**info, "finished": one.whole}, option=orjson.OPT_INDENT_2))
    return rows


def _read(
    topic: Topic, raw: bytes, received: int, signature: bytes, proven: Proven
) -> Event | Order | Fill | None:
    """The event of a record; None for what does not belong on the topic."""
    try:
        if topic == ORDERS:
            return msgspec.json.decode(raw, type=Order)
        if topic == FILLS:
            return msgspec.json.decode(raw, type=Fill)
        event = decoded(topic, raw, received, signature, proven)
    except (WireError, msgspec.DecodeError):
        return None  # the workers wrote a dead letter of it
    return event if type(event) in topic.carries else None


async def _records(
    reader: AIOKafkaConsumer, places: list[TopicPartition], start: int | None, end: int | None
) -> AsyncIterator[tuple[bytes, int, bytes]]:
    """The committed records of places between two times, UNIX ns: bytes, time of arrival, UNIX ns, and signature."""
    first, ends = await ends_of(reader, places)
    if start is not None:
        since = await reader.offsets_for_times(dict.fromkeys(places, start // MS))
        first = {p: ends[p] if since[p] is None else max(first[p], since[p].offset) for p in places}
    if end is not None:
        until = await reader.offsets_for_times(dict.fromkeys(places, end // MS))
        ends = {p: ends[p] if until[p] is None else until[p].offset for p in places}
    reader.assign(places)
    for place, offset in first.items():
        reader.seek(place, offset)
    at = first
    while any(at[place] < ends[place] for place in places):
        for place, records in (await reader.getmany(timeout_ms=500, max_records=_READ)).items():
            for record in records:
                if record.offset < ends[place]:
                    yield record.value or b"", record.timestamp * MS, signature_of(record.headers)
        at = {place: await reader.position(place) for place in places}


def _describe(book: _Book, opened: BookOpened, settings: KafkaSettings) -> None:
    """Write run.json, in which a replay of the journal looks for what was run."""
    info: dict[str, Any] = {
        "book": opened.book,
        "config": opened.digest,
        "finished": False,
        "preset": "",
        "file": f"topics of {settings.prefix}",
        "kind": "real",
        "bars": "rows of a topic",
        "rejected": {},
        "notes": [],
        "full": True,
        "seconds": 0.0,
    }
    replace_file(book.folder / "journal" / "run.json", orjson.dumps(info, option=orjson.OPT_INDENT_2))
