"""Measures the time from the moment a tick is due to its order, and the part of every hop in it."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from rig import PARTITIONS, STAGES, Pipeline, Processes, books_apart, new_prefix
from seen import Times, Watch, appended, blank, places_of
from sender import HISTORY, Load

from windvane.infra.kafka.broker.admin import Setup
from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.streams.topics import DECISIONS, FEATURES, ORDERS, PROPOSALS, TICKS

_QUIET_SECONDS = 15.0
_HERE = str(Path(__file__).parent)


class Late(NamedTuple):
    """Percentiles and maximum of times, in milliseconds."""

    count: int
    p50: float
    p99: float
    most: float

    @staticmethod
    def of(ns: Times) -> "Late":
        """Return the percentiles of times in ns, without those that are NaN."""
        ms = ns[~np.isnan(ns)] / 1e6
        if not len(ms):
            return Late(0, *[float("nan")] * 3)
        return Late(len(ms), *np.percentile(ms, [50, 99]).tolist(), float(ms.max()))


class Run(NamedTuple):
    """The times of one load on the pipeline.

    orders, decisions: from the moment a tick was due; hops: mean ms between the moments at which the broker appended a
    row to one topic and to the next; computing: mean ms that a step of every stage takes; cpu: ms of processor time a
    tick, by process; late: 99th percentile of the ms by which rows were sent late; load: the load average.
    """

    orders: Late
    decisions: Late
    hops: Mapping[str, float]
    computing: Mapping[str, float]
    cpu: Mapping[str, float]
    late: float
    load: float


async def through(settings: KafkaSettings, pipeline: Pipeline, load: Load) -> Run:
    """Send a load through a running pipeline, and return its times; ends the program where a row is not decided."""
    live = (DECISIONS, ORDERS)
    places = places_of(settings, live, load.books, PARTITIONS)
    seen = blank([t.name for t in live], load.books, load.rows)
    async with reading(settings) as reader:
        watch = Watch(reader, places)
        await watch.begin()
        sender = await _sender(load)
        before, busy_before = await asyncio.to_thread(pipeline.spent), pipeline.cpu()
        last = seen[DECISIONS.name][:, -1]
        await watch.follow(load.books, seen, lambda: not np.isnan(last).any(), load.seconds + _QUIET_SECONDS)
        after, busy_after = await asyncio.to_thread(pipeline.spent), pipeline.cpu()
        output, errors = await sender.communicate()
    if sender.returncode:
        raise SystemExit(f"the sender failed: {errors.decode()[-2000:]}")
    topics = (TICKS, FEATURES, PROPOSALS, DECISIONS)
    wrote = blank([t.name for t in topics], load.books, load.rows)
    await appended(settings, places_of(settings, topics, load.books, PARTITIONS), load.books, wrote)
    due = await _due(settings, load)
    seen = {name: times[:, HISTORY:] for name, times in seen.items()}
    wrote = {name: times[:, HISTORY:] for name, times in wrote.items()}
    live = seen[DECISIONS.name].size
    missing = int(np.isnan(seen[DECISIONS.name]).sum())
    if missing:
        raise SystemExit(f"{missing} rows were not decided {_QUIET_SECONDS:.0f} s after the last record")
    chain = [due, *(wrote[t.name] for t in topics), seen[DECISIONS.name]]
    names = ("sent", "features", "proposals", "ensemble", "committed and read")
    return Run(
        orders=Late.of(seen[ORDERS.name] - due),
        decisions=Late.of(seen[DECISIONS.name] - due),
        hops={n: float((b - a).mean() / 1e6) for n, a, b in zip(names, chain, chain[1:], strict=False)},
        computing={
            name: 1e3 * (after[name][1] - before[name][1]) / max(1, after[name][0] - before[name][0])
            for name in STAGES
        },
        cpu={n: 1e3 * (busy_after[n] - busy_before[n]) / live for n in busy_after},
        late=1e3 * json.loads(output.splitlines()[-1])["late_p99"],
        load=os.getloadavg()[0],
    )


async def _sender(load: Load) -> asyncio.subprocess.Process:
    """Start the sender as a process of its own, so that nothing in this process delays it."""
    words = (sys.executable, _HERE, "send", msgspec.json.encode(load).decode())
    return await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def _due(settings: KafkaSettings, load: Load) -> Times:
    """The event times (books, rows) of the rows after the history, which are the times at which they were due."""
    from windvane.infra.kafka.tools.history import ticks_of

    due = np.full((len(load.books), load.rows), np.nan)
    for k, book in enumerate(load.books):
        async for batch in ticks_of(settings, PARTITIONS, book):
            due[k, batch.first : batch.last + 1] = batch.ts
    return due[:, HISTORY:]


def pipeline_at(
    bootstrap: str,
    binding: str,
    closing: str,
    rates: Sequence[float],
    numbers: Sequence[int],
    seconds: float,
    folder: Path,
    warm: float,
) -> dict[tuple[str, float], Run]:
    """Measure all rates and numbers of books on one pipeline, for `seconds` seconds each.

    Returns the times by name of the run and rows a second of all books together. Before, a load of the highest rate
    runs for `warm` seconds and is reported apart: until the broker's JVM has compiled its code, it takes half the CPU.
    """
    settings = new_prefix(bootstrap)
    runs = [(f"{number}", number, rate, seconds) for number in numbers for rate in rates]
    if warm:
        runs.insert(0, ("1, fresh broker", 1, max(rates), warm))
    runs_by_rate = {}
    with Pipeline(settings, binding, folder) as pipeline:
        for place, (name, number, rate, length) in enumerate(runs):
            load = Load(
                bootstrap=bootstrap,
                prefix=settings.prefix,
                books=books_apart(f"run-{place}", number),
                rate=rate,
                seconds=length,
                closing=closing,
            )
            runs_by_rate[name, rate] = asyncio.run(through(settings, pipeline, load))
    return runs_by_rate


def kafka_alone(bootstrap: str, rate: float, seconds: float, folder: Path) -> dict[str, Late]:
    """Measure Kafka without any stage at a rate, and return the times by name.

    A record is written and read; or passes one loop in between, without and with transactions.
    """
    settings = new_prefix(bootstrap, 1)
    by_name = {}
    for what, identity in (
        ("write and read", None),
        ("one bare hop", None),
        ("one bare hop in transactions", "bare"),
    ):
        hop = what != "write and read"
        source, target = (
            f"{settings.prefix}.{name}-{identity or 'plain'}-{int(hop)}" for name in ("from", "to")
        )
        asyncio.run(_topics(settings, source, target))
        with Processes(folder) as processes:
            if hop:
                words = ("loop", bootstrap, source, target, "0", identity or "")
                processes.start("loop", [sys.executable, _HERE, *words])
            by_name[what] = asyncio.run(_alone(settings, source, target if hop else source, rate, seconds))
    return by_name


async def _topics(settings: KafkaSettings, *names: str) -> None:
    """Create topics with one partition each."""
    async with Setup(settings) as setup:
        for name in names:
            await setup.create(name, 1, 1, {"message.timestamp.type": "LogAppendTime"})
        await setup.settled(dict.fromkeys(names, 1))


async def _alone(settings: KafkaSettings, source: str, target: str, rate: float, seconds: float) -> Late:
    """Send records of about the size of one row's features at a rate, without counting the first three seconds."""
    import time

    from aiokafka import TopicPartition

    from windvane.infra.kafka.broker.clients import new_producer

    rows, warm = int(rate * (seconds + 3)), int(rate * 3)
    filler = "x" * 900
    due, seen = np.full((1, rows), np.nan), {"out": np.full((1, rows), np.nan)}
    producer = new_producer(settings)
    await producer.start()
    try:
        async with reading(settings) as reader:
            watch = Watch(reader, {TopicPartition(target, 0): "out"})
            await watch.begin()
            following = asyncio.create_task(
                watch.follow(("b",), seen, lambda: not np.isnan(seen["out"][0, -1]), _QUIET_SECONDS)
            )
            start = time.time_ns() + 1_000_000_000
            for k in range(rows):
                due[0, k] = start + k * 1e9 / rate
                while (left := due[0, k] - time.time_ns()) > 0:
                    await asyncio.sleep(left / 1e9)
                await producer.send(
                    source, b'{"seq":%d,"x":"%b"}' % (k, filler.encode()), key=b"b", partition=0
                )
            await following
    finally:
        await producer.stop()
    return Late.of((seen["out"] - due)[:, warm:])
