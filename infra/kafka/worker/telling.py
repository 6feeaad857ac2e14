"""A worker tells people of itself and of its books on the topic of summaries; no stage depends on what it tells.

Nothing that goes wrong here stops the work: it is said once in the log, with what to do, and tried again.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import connect, new_producer, reading
from windvane.infra.kafka.broker.settings import SettingsError
from windvane.infra.kafka.broker.summaries import (
    STOPPED,
    TELL_SECONDS,
    BooksPart,
    WorkerSummary,
    in_parts,
    key_of_part,
    read_summaries,
)
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.summaries import BookSummary, Opening, opening_of
from windvane.streams.troubles import Troubles
from windvane.streams.worker import StageWorker

_ALIVE_SECONDS = 2 * TELL_SECONDS
_LOOK_AGAIN_SECONDS = 60.0
_CLOSE_SECONDS = 5.0
_READ_SECONDS = 20.0


@dataclass(slots=True)
class _Partition:
    """What is known of one partition, to tell only what has changed."""

    rows: dict[str, tuple[int, int]] = field(
        default_factory=dict
    )  # by book: rows, and when the last came, UNIX s
    openings: dict[str, Opening] = field(default_factory=dict)  # by key of settings
    books: list[BookSummary] = field(default_factory=list)  # told last
    troubles: dict[str, tuple[str, str]] = field(default_factory=dict)  # told last
    positions: Mapping[str, int] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)  # of the books, not written yet
    removed: frozenset[str] = (
        frozenset()
    )  # books that a person took out of the lists before this worker began
    phase: str = ""  # told last
    told: float = float("-inf")  # monotonic seconds of the last sign of life


class Teller:
    """Tells of the partitions of one worker process. All its methods are called in the worker's event loop."""

    def __init__(self, plan: WorkerPlan, metrics: WorkerMetrics) -> None:
        self._plan = plan
        self._metrics = metrics
        self._partitions: dict[int, _Partition] = {}
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._producer: AIOKafkaProducer | None = None
        self._warned: set[str] = set()
        self._due = asyncio.Event()
        self._log = logger(stage=plan.name)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def begun(self, partition: int, worker: StageWorker) -> None:
        """Note that a partition goes on from its stored state: its silent books are measured from now on.

        Called by the partition whenever it has built its worker.
        """
        now, books = int(time.time()), [book for book in worker.logic.summaries() if not book.closed]
        fallback = {book.book: (book.rows, min(now, _event_time(book, worker))) for book in books}
        for book in books:
            self._metrics.restored(partition, book, fallback[book.book][1] or now)
        before, _ = self._reading.pop(partition, None), self._partitions.pop(partition, None)
        if before is not None:
            before.cancel()
        self._reading[partition] = asyncio.create_task(self._recall(partition, books, fallback))

    async def _recall(
        self, partition: int, books: Iterable[BookSummary], fallback: Mapping[str, tuple[int, int]]
    ) -> None:
        """Read when the last rows of the books had come before this worker began, and tell from then on."""
        known = _Partition(rows=dict(fallback))
        try:
            async with asyncio.timeout(_READ_SECONDS):
                if await layout.has_summaries(self._plan.settings):
                    async with reading(self._plan.settings) as reader:
                        summaries = await read_summaries(reader, self._plan.settings, [partition])
                    told = summaries.told.get((self._plan.name, partition))
                    known.removed = frozenset(summaries.removed)
                    known.rows |= _rows_of([] if told is None else told.books)
        except (KafkaError, SettingsError, OSError):
            pass  # then the age of a row that came before is not known, and nothing else
        for book in books:
            rows, at = known.rows[book.book]
            if at and book.rows <= rows and book.book in self._metrics.silent:
                self._metrics.restored(partition, book, float(at))
        self._partitions[partition] = known
        self._due.set()

    def tell(self, partition: int, worker: StageWorker, troubles: Troubles) -> None:
        """Take what a partition has to tell. Called by it between two steps, every few seconds.

        troubles: by book, "" for the whole partition.
        """
        known = self._partitions.get(partition)
        if known is None:
            return
        now, removed = time.time(), known.removed
        books = [book for book in worker.logic.summaries() if not (book.closed and book.book in removed)]
        for book in books:
            if book.rows > known.rows.get(book.book, (0, 0))[0]:
                known.rows[book.book] = (book.rows, int(now))
            if book.settings not in known.openings:
                opened = worker.logic.progress(book.book).opened
                if opened is not None:
                    known.openings[book.settings] = opening_of(opened)
        known.positions = worker.positions
        told = {book: (trouble.code, trouble.text) for book, trouble in troubles.items()}
        if books != known.books or told != known.troubles:
            known.books, known.troubles = books, told
            row_at = {book: at for book, (_, at) in known.rows.items()}
            known.parts = in_parts(now, books, known.openings, row_at, told)
            self._due.set()

    async def _run(self) -> None:
        """Write what is to be told until the teller is closed."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), TELL_SECONDS)
            self._due.clear()
            try:
                if await self._ready():
                    for partition in list(self._metrics.health.partitions):
                        await self._write(partition)
            except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
                topic = self._plan.settings.topic(layout.SUMMARIES)
                self._warn(
                    f"this user may not write to {topic}: grant it, as docs/kafka.md says under Rights"
                )
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            except (KafkaError, SettingsError, OSError) as error:
                self._warn(f"nothing can be told of books ({type(error).__name__}): it is tried again")
                await asyncio.sleep(TELL_SECONDS)

    async def _ready(self) -> bool:
        """Whether there is a producer; where the topic is missing, that is said once and looked at again later."""
        while self._producer is None:
            if await layout.has_summaries(self._plan.settings):
                producer = new_producer(self._plan.settings)
                try:
                    await connect(producer)
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            else:
                self._warn(
                    f"topic {self._plan.settings.topic(layout.SUMMARIES)} is missing, so `windvane status` knows "
                    f"nothing of these books: run {layout.mending(self._plan.settings, self._plan.partitions)}"
                )
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return True

    def _warn(self, reason: str) -> None:
        """Say once why nothing is told."""
        if reason not in self._warned:
            self._warned.add(reason)
            self._log.warning("status is not told", reason=reason)

    async def _write(self, partition: int) -> None:
        """Write the books of a partition where they have changed, and a sign of life where one is due."""
        known = self._partitions.get(partition) or _Partition()
        health = self._metrics.health.partitions.get(partition)
        if health is None:
            return
        parts, known.parts = known.parts, []
        try:
            for number, raw in enumerate(parts):
                await self._send(partition, key_of_part(self._plan.name, number), raw)
            due = time.monotonic() - known.told >= _ALIVE_SECONDS or bool(parts)
            if due or known.phase != health.phase:
                await self._sign(partition, known, health.phase)
        except BaseException:
            known.parts = known.parts or parts
            raise

    async def _sign(self, partition: int, known: _Partition, phase: str) -> None:
        """Write a sign of life."""
        plan, health = self._plan, self._metrics.health
        one = health.partitions.get(partition)
        summary = WorkerSummary(
            at=time.time(),
            name=plan.name,
            stage=plan.stage.name,
            agents=plan.stage.agents or (),
            partition=partition,
            version=plan.program.version,
            code=plan.program.code,
            host=socket.gethostname(),
            pid=os.getpid(),
            listens=health.listens,
            phase=phase,
            trouble="" if one is None else one.trouble(time.monotonic()),
            lag={} if one is None else one.lag,
            positions=dict(known.positions),
        )
        await self._send(partition, plan.name.encode(), msgspec.json.encode(summary))
        known.phase, known.told = phase, time.monotonic()

    async def _send(self, partition: int, key: bytes, raw: bytes) -> None:
        if self._producer is not None:
            topic = self._plan.settings.topic(layout.SUMMARIES)
            await self._producer.send_and_wait(topic, raw, key=key, partition=partition)

    async def close(self, partitions: Iterable[int]) -> None:
        """Say that these partitions are left by a worker that was stopped, and close the connection."""
        tasks = [self._task, *self._reading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                for partition in partitions:
                    known = self._partitions.get(partition, _Partition())
                    for number, raw in enumerate(known.parts):
                        await self._send(partition, key_of_part(self._plan.name, number), raw)
                    await self._sign(partition, known, STOPPED)
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


def _rows_of(parts: Iterable[BooksPart]) -> dict[str, tuple[int, int]]:
    """By book how many rows it had, and when the last of them came, UNIX s."""
    return {
        book.book: (book.rows, at)
        for part in parts
        for book, at in zip(part.books, part.row_at, strict=False)
    }


def _event_time(book: BookSummary, worker: StageWorker) -> int:
    """When the last row of a restored book came, UNIX s, as its own time says; 0 where that says nothing of it."""
    opened = worker.logic.progress(book.book).opened
    live = opened is not None and opened.config.closing == "timed"
    return int(book.ts / 1e9) if live else 0
