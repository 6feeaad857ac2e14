"""Topics to files: what lies on them as JSON lines and Parquet, and for every book a journal that can be replayed.

OUT/BOOK/TOPIC.jsonl has the very records, OUT/BOOK/TOPIC.parquet the rows as columns, OUT/BOOK/journal the log of the
book. Rows that a stage sent twice are there once.
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
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import guard
from windvane.infra.kafka.tools.columns import ColumnsFile
from windvane.infra.kafka.worker.inlet import MS
from windvane.infra.runs.files import replace_file
from windvane.infra.runs.journal import JournalWriter
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import Batch, BookClosed, BookOpened, Control, Event, Model, cut
from windvane.streams.records import Fill, Order, fills_of, orders_of
from windvane.streams.topics import CONTROL, FILLS, MODELS, ORDERS, TICKS, TOPICS, Topic

_READ = 2000
_FIRST = (MODELS, CONTROL)
_ORDER = (*_FIRST, *(topic for topic in TOPICS if topic not in _FIRST))
"""A replay must know what people ordered before the rows that it ruled."""


class _Book:
    """The files of one book."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.whole = False
        self._stack = stack
        self._lines: dict[str, BinaryIO] = {}
        self._columns: dict[str, ColumnsFile] = {}
        self._done: dict[tuple[str, object], int] = {}
        self._singles: list[Order | Fill] = []
        self._journal = stack.enter_context(JournalWriter(folder / "journal"))

    def add(self, topic: Topic, raw: bytes, event: Event | Order | Fill) -> int:
        """Keep a record unless it was there; gives how many rows were new."""
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
        """Write what was collected of orders or fills."""
        orders = [single for single in self._singles if isinstance(single, Order)]
        fills = [single for single in self._singles if isinstance(single, Fill)]
        self._singles = []
        for topic, batch in ((ORDERS, orders and orders_of(orders)), (FILLS, fills and fills_of(fills))):
            if batch:
                self._journal.write(topic, batch)
                self._columns[topic.name].add(batch)

    def _fresh(self, topic: Topic, event: Event | Order | Fill) -> Event | Order | Fill | None:
        """What of an event was not seen before: a stage that starts again may say things twice."""
        if isinstance(event, Order | Fill):
            return event  # once on their topics
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
    """Write what the broker got from `start` until before `end` (ns, None: all there is); gives rows a book."""
    partitions = await layout.check(settings)
    chosen = range(partitions) if book is None else (partition_of(book, partitions),)
    believed = guard(settings)
    rows: dict[str, int] = {}
    with ExitStack() as stack:
        books: dict[str, _Book] = {}
        for topic in _ORDER:
            places = [TopicPartition(settings.topic(topic), p) for p in chosen]
            async with reading(settings) as reader:
                async for raw, received in _records(reader, places, start, end):
                    event = _read(topic, raw, received)
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
                        _tell(books[event.book], event, settings)
            for kept in books.values():
                kept.flush()
    for kept in books.values():
        path = kept.folder / "journal" / "run.json"
        if path.is_file():
            story = orjson.loads(path.read_bytes())
            replace_file(path, orjson.dumps({**story, "finished": kept.whole}, option=orjson.OPT_INDENT_2))
    return rows


def _read(topic: Topic, raw: bytes, received: int) -> Event | Order | Fill | None:
    try:
        if topic == ORDERS:
            return msgspec.json.decode(raw, type=Order)
        if topic == FILLS:
            return msgspec.json.decode(raw, type=Fill)
        event = from_json(raw, received)
    except (WireError, msgspec.DecodeError):
        return None  # the workers told of it in dead letters
    return event if type(event) in topic.carries else None


async def _records(
    reader: AIOKafkaConsumer, places: list[TopicPartition], start: int | None, end: int | None
) -> AsyncIterator[tuple[bytes, int]]:
    """Committed records of places between two times of arrival, and when each arrived, UNIX ns."""
    first, ends = await ends_of(reader, places)
    if start is not None:
        found = await reader.offsets_for_times(dict.fromkeys(places, start // 10**6))
        first = {p: ends[p] if found[p] is None else max(first[p], found[p].offset) for p in places}
    if end is not None:
        found = await reader.offsets_for_times(dict.fromkeys(places, end // 10**6))
        ends = {p: ends[p] if found[p] is None else found[p].offset for p in places}
    reader.assign(places)
    for place, offset in first.items():
        reader.seek(place, offset)
    at = first
    while any(at[place] < ends[place] for place in places):
        for place, records in (await reader.getmany(timeout_ms=500, max_records=_READ)).items():
            for record in records:
                if record.offset < ends[place]:
                    yield record.value or b"", record.timestamp * MS
        at = {place: await reader.position(place) for place in places}


def _tell(book: _Book, opened: BookOpened, settings: KafkaSettings) -> None:
    """What a replay of the journal wants to know of the run."""
    story: dict[str, Any] = {
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
    replace_file(book.folder / "journal" / "run.json", orjson.dumps(story, option=orjson.OPT_INDENT_2))
