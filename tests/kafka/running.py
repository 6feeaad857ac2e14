"""Workers for tests: all stages inside this process, or one stage as a process; and what lies on their topics."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition

from windvane.agents.factory import RULES
from windvane.infra.kafka.broker.clients import ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.worker.plain import run_plain
from windvane.infra.kafka.worker.plan import plan_of
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.stage import Trainer
from windvane.streams.topics import Topic

PARTITIONS = 4
STAGES = ("features", f"proposals:{','.join(RULES)}", "feedback", "ensemble")


@dataclass
class Inside:
    """Stages that run in this event loop."""

    metrics: dict[str, WorkerMetrics] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def restarts(self) -> float:
        """How often a partition was started again from its stored state."""
        found = [
            sample.value
            for metrics in self.metrics.values()
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == "windvane_restarts_total"
        ]
        return sum(found)

    async def until(
        self, what: str, there: Callable[[], Awaitable[bool]], seconds: float = 60.0, every: float = 0.1
    ) -> None:
        """Poll until something is so; fails at once where a stage has ended."""
        deadline = time.monotonic() + seconds
        while not await there():
            for task in self.tasks:
                if task.done():
                    await task
                    raise AssertionError(f"a stage has ended while waiting for {what}")
            assert time.monotonic() < deadline, f"no {what} within {seconds} s"
            await asyncio.sleep(every)


@asynccontextmanager
async def inside(
    settings: KafkaSettings,
    states: Path | None,
    stages: Sequence[str] = STAGES,
    save_seconds: float = 0.5,
    trainer: Trainer | None = None,
    partitions: int = PARTITIONS,
) -> AsyncIterator[Inside]:
    """Run stages until the block ends, then stop them as SIGTERM would; what ends one of them is raised."""
    running, stopping = Inside(), asyncio.Event()
    for spec in stages:
        plan = plan_of(spec, settings, partitions, states, save_seconds)._replace(trainer=trainer)
        metrics = running.metrics[spec] = WorkerMetrics(plan.stage.name)
        running.tasks.append(asyncio.create_task(run_plain(plan, metrics, stopping)))
    try:
        yield running
    finally:
        stopping.set()
        await asyncio.wait_for(asyncio.gather(*running.tasks), 60)


async def put(
    settings: KafkaSettings,
    topic: Topic | str,
    raws: Sequence[bytes | None],
    book: str,
    *,
    partition: int | None = None,
    key: bytes | None = b"",
) -> None:
    """Write records where a book's lie, in order; key b"": the book's, None: none."""
    name = f"{settings.prefix}.{topic if isinstance(topic, str) else topic.name}"
    place = partition_of(book, PARTITIONS) if partition is None else partition
    producer = new_producer(settings)
    producer._max_request_size = 2_000_000  # giants are the broker's to refuse
    await producer.start()
    try:
        for raw in raws:
            named = book.encode() if key == b"" else key
            if named is None and raw is None:
                continue
            await producer.send(name, raw, key=named, partition=place)
        await producer.flush()
    finally:
        await producer.stop()


async def records(settings: KafkaSettings, topic: Topic | str, partition: int | None = None) -> list[bytes]:
    """Every committed record of a topic, one partition after the other."""
    name = f"{settings.prefix}.{topic if isinstance(topic, str) else topic.name}"
    chosen = range(PARTITIONS) if partition is None else (partition,)
    places = [TopicPartition(name, p) for p in chosen]
    found: dict[TopicPartition, list[bytes]] = {place: [] for place in places}
    async with reading(settings) as reader:
        first, ends = await ends_of(reader, places)
        reader.assign(places)
        for place in places:
            reader.seek(place, first[place])
        while any([await reader.position(place) < ends[place] for place in places]):
            for place, some in (await reader.getmany(timeout_ms=200)).items():
                found[place] += [r.value or b"" for r in some]
    return [raw for place in places for raw in found[place]]


class Process:
    """`windvane worker` or another command as a process of its own; its log is kept in a file."""

    def __init__(self, folder: Path, *words: object, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{time.monotonic_ns()}.log"
        with self._file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "windvane", *map(str, words)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "WINDVANE_LOGS": "json", **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """All that it has written."""
        return self._file.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of its log that tell of this."""
        lines = [line for line in self.text.splitlines() if line.startswith("{")]
        return [found for line in lines if (found := json.loads(line)).get("event") == name]

    def until(self, what: str, there: Callable[[], bool], seconds: float = 60.0) -> None:
        """Poll until something is so; fails at once where the process has ended."""
        deadline = time.monotonic() + seconds
        while not there():
            assert self._process.poll() is None, f"it has ended while waiting for {what}: {self.text[-2000:]}"
            assert time.monotonic() < deadline, f"no {what} within {seconds} s: {self.text[-2000:]}"
            time.sleep(0.05)

    def ended(self, seconds: float = 60.0) -> int:
        """Wait for its end; gives the exit code."""
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP."""
        self._process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
