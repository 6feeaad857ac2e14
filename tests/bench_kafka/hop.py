"""Measures one hop over a backlog: the features worker, loops without work, and Quix Streams, on the same records."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from loops import QUIX
from rig import Processes, cpu_seconds, new_prefix, windvane
from seen import rows_in
from sender import opening, rows_of

from windvane.infra.kafka.broker.admin import Setup
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.layout import MOST_BYTES
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.replayer import History, send
from windvane.metamodel.simulation.market import simulate
from windvane.streams.events import Ticks
from windvane.streams.topics import FEATURES, TICKS

_BOOK = "main"
_HERE = str(Path(__file__).parent)
_DONE_SECONDS = 180.0
_SKIPPED = 0.1
"""Share of the output that is not timed, since a loop starts slowly."""


class Run(NamedTuple):
    """The speed of one hop.

    cpu: microseconds of processor time for a record read, without those of the start; 0 where the run was too short.
    """

    records: float  # read a second
    ticks: float  # a second
    cpu: float


def compare(
    bootstrap: str, rows: int, number: int, bindings: list[str], quix: str | None, folder: Path
) -> dict[str, Run]:
    """Send `number` records of `rows` ticks through each program, and return the speed of each by name.

    The features worker is measured first, since the loops write as many bytes as it does. quix: a Python interpreter
    that has quixstreams, None to leave it out.
    """
    runs: dict[str, Run] = {}
    for binding in bindings:
        settings = _loaded(bootstrap, rows, number)
        state = str(folder / "states" / settings.prefix)
        options = ("--bootstrap", bootstrap, "--prefix", settings.prefix, "--state", state)
        command = windvane("worker", "features", *options, "--binding", binding)
        source, target = settings.topic(TICKS), settings.topic(FEATURES)
        runs[f"features worker, {binding}"] = _timed(settings, command, target, rows, number, folder)
    size = asyncio.run(_mean_size(settings, target, rows, number))
    for name, wide in (("bare loop", size), ("bare loop, bytes as read", 0)):
        target = _target(settings, f"bare-{wide}")
        command = [sys.executable, _HERE, "loop", bootstrap, source, target, str(wide), ""]
        runs[name] = _timed(settings, command, target, rows, number, folder)
    if quix is not None:
        target = _target(settings, "quix")
        command = [quix, "-c", QUIX, bootstrap, source, target, str(size)]
        runs["Quix Streams"] = _timed(settings, command, target, rows, number, folder)
    return runs


def _loaded(bootstrap: str, rows: int, number: int) -> KafkaSettings:
    """The settings of a new prefix that has all records on its ticks topic."""
    settings = new_prefix(bootstrap, 1)
    market = simulate("standard", rows * number, 7)

    def ticks() -> Iterator[Ticks]:
        for start in range(0, rows * number, 16 * rows):
            stop = min(start + 16 * rows, rows * number)
            yield rows_of(_BOOK, market, market.ts[start:stop], start)

    history = History(opening(_BOOK, "lockstep"), ticks, rows * number)
    asyncio.run(
        send(settings, history, speed=0.0, rows=rows, progress=lambda n: None, stopping=lambda: False)
    )
    return settings


def _target(settings: KafkaSettings, name: str) -> str:
    """The name of a new topic with one partition, on which the broker stamps records with its own clock."""

    async def create(topic: str) -> None:
        config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MOST_BYTES)}
        async with Setup(settings) as setup:
            await setup.create(topic, 1, 1, config)
            await setup.settled({topic: 1})

    topic = f"{settings.prefix}.bench-{name}"
    asyncio.run(create(topic))
    return topic


def _timed(
    settings: KafkaSettings, command: list[str], target: str, rows: int, number: int, folder: Path
) -> Run:
    """Run a process until it has written everything, and time it by the broker's time stamps on its records."""
    with Processes(folder) as processes:
        pid = processes.start(target, command).pid
        try:
            return asyncio.run(_followed(settings, target, pid, rows, number))
        except (TimeoutError, FileNotFoundError) as error:
            raise SystemExit(f"{command[:4]} did not finish: {processes.log(target)[-2000:]}") from error


async def _followed(settings: KafkaSettings, target: str, pid: int, rows: int, number: int) -> Run:
    """Follow the records on `target` until all rows are there, and return the speed of process `pid`."""
    place = TopicPartition(target, 0)
    cpu: list[tuple[float, int]] = []
    async with reading(settings) as reader, asyncio.timeout(_DONE_SECONDS):
        reader.assign([place])
        done = last = 0
        while done < rows * number:
            await asyncio.sleep(0.1)
            _, ends = await ends_of(reader, [place])
            if ends[place] > max(last, 1):
                last = ends[place]
                done = (await _at(reader, place, last - 1, rows))[1]
                cpu.append((cpu_seconds(pid), done))
        early = max(1, int(_SKIPPED * last))
        began, first = await _at(reader, place, early, rows)
        ended, _ = await _at(reader, place, last - 1, rows)
    rate = (done - first) / max(ended - began, 1e-3)
    (cpu_0, done_0), (cpu_1, done_1) = cpu[0], cpu[-1]
    return Run(
        rate / rows, rate, 1e6 * (cpu_1 - cpu_0) / max(1, done_1 - done_0) * rows if done_1 > done_0 else 0.0
    )


async def _at(reader: AIOKafkaConsumer, place: TopicPartition, offset: int, rows: int) -> tuple[float, int]:
    """When a record was appended, UNIX s, and how many ticks were processed up to it."""
    reader.seek(place, offset)
    record = await reader.getone(place)
    if record.value[:1] == b"{":
        first, last = rows_in(record.value)
        if last >= first:
            return record.timestamp / 1e3, last + 1
    return record.timestamp / 1e3, min(
        record.offset, 10**9
    ) * rows  # a loop writes one for one; the first opens the book


async def _mean_size(settings: KafkaSettings, target: str, rows: int, number: int) -> int:
    """How many bytes were written for a record read, a mean of 20 records."""
    total = 0
    place = TopicPartition(target, 0)
    async with reading(settings) as reader:
        _, ends = await ends_of(reader, [place])
        reader.assign([place])
        for offset in np.linspace(1, ends[place] - 2, 20).astype(int).tolist():
            reader.seek(place, offset)
            raw = (await reader.getone(place)).value
            first, last = rows_in(raw)
            total += int(len(raw) / (last - first + 1) * rows)
    return total // 20
