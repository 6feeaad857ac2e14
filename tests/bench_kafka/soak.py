"""Runs a steady load for long, and measures whether the workers' memory and the undecided rows grow."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition
from rig import PARTITIONS, Pipeline, books_apart, new_prefix
from seen import rows_in
from sender import Load

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.topics import DECISIONS, TICKS

EVERY_SECONDS = 5.0
_SETTLE = 0.2
"""Share of the run that the slope leaves out, since buffers fill at first."""

_BLOCKS = 10
_HERE = str(Path(__file__).parent)


class Slope(NamedTuple):
    """A straight line through the samples after the first fifth of a run.

    hourly: its slope an hour; error: one standard error of that; first, last: means of the first and last block.
    """

    hourly: float
    error: float
    first: float
    last: float

    @staticmethod
    def of(seconds: Sequence[float], values: Sequence[float]) -> "Slope":
        """Fit a line by least squares to the means of ten blocks, since neighbouring samples are not independent."""
        late = [k for k, t in enumerate(seconds) if t >= seconds[0] + _SETTLE * (seconds[-1] - seconds[0])]
        blocks = np.array_split(late, min(_BLOCKS, len(late)))
        x = np.array([np.mean([seconds[k] for k in block]) for block in blocks]) / 3600
        y = np.array([np.mean([values[k] for k in block]) for block in blocks])
        x = x - x.mean()
        hourly = float((x * y).sum() / (x * x).sum())
        left = y - y.mean() - hourly * x
        error = float(np.sqrt((left * left).sum() / max(1, len(y) - 2) / (x * x).sum()))
        return Slope(hourly, error, float(y[0]), float(y[-1]))


class Run(NamedTuple):
    """The result: memory of every stage in MB; lag, rows sent and not decided; restarts of stages by `windvane up`."""

    rows: int
    seconds: float
    memory: Mapping[str, Slope]
    lag: Slope
    most_lag: int
    restarts: int


def run(bootstrap: str, binding: str, load_of: Load, number: int, folder: Path) -> Run:
    """Send a load through a new pipeline with `number` books, and return how memory and lag developed.

    load_of: rate, seconds and closing; its broker, prefix and books are replaced.
    """
    settings = new_prefix(bootstrap)
    load = msgspec.structs.replace(
        load_of, bootstrap=bootstrap, prefix=settings.prefix, books=books_apart("soak", number)
    )
    with Pipeline(settings, binding, folder) as pipeline:
        return asyncio.run(_sampled(settings, pipeline, load))


async def _sampled(settings: KafkaSettings, pipeline: Pipeline, load: Load) -> Run:
    """Send a load and take a sample of memory and lag every five seconds until it ends."""
    words = (sys.executable, _HERE, "send", msgspec.json.encode(load).decode())
    sender = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    times: list[float] = []
    memory: dict[str, list[float]] = {}
    lags: list[float] = []
    processes: set[int] = set()
    began = time.monotonic()
    async with reading(settings) as reader:
        while sender.returncode is None:
            await asyncio.sleep(EVERY_SECONDS)
            sent, decided = [await _rows(reader, settings, load, t) for t in (TICKS.name, DECISIONS.name)]
            processes |= set(pipeline.stages().values())
            resident = pipeline.rss()
            if decided <= 768 * len(load.books) or sender.returncode is not None or len(resident) < 4:
                continue
            times.append(time.monotonic() - began)
            lags.append(float(sent - decided))
            for name, value in resident.items():
                memory.setdefault(name, []).append(value)
    if sender.returncode or len(times) < 5:
        raise SystemExit("the sender failed, or the run was too short to tell anything: give more --minutes")
    return Run(
        rows=load.rows * len(load.books),
        seconds=times[-1] - times[0],
        memory={name: Slope.of(times, values) for name, values in memory.items()},
        lag=Slope.of(times, lags),
        most_lag=int(max(lags)),
        restarts=len(processes) - 4,
    )


async def _rows(reader: AIOKafkaConsumer, settings: KafkaSettings, load: Load, topic: str) -> int:
    """The number of rows of all books on a topic, by the last record of each book."""
    total = 0
    for book in load.books:
        place = TopicPartition(f"{settings.prefix}.{topic}", partition_of(book, PARTITIONS))
        first, ends = await ends_of(reader, [place])
        if ends[place] == first[place]:
            continue
        reader.assign([place])
        reader.seek(place, max(first[place], ends[place] - 4))  # markers of transactions are no records
        last = -1
        while await reader.position(place) < ends[place]:
            for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
                last = max(last, rows_in(record.value)[1])
        total += last + 1
    return total
