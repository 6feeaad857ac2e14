"""Measures how fast all stages work off a file, from the first tick sent to the last one decided."""

import asyncio
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition
from rig import PARTITIONS, Pipeline, books_apart, new_prefix, windvane
from seen import Watch, blank, places_of

from windvane.agents.factory import RULES
from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.topics import DECISIONS, TICKS

_QUIET_SECONDS = 90.0
_WARM_ROWS = 2000


class Run(NamedTuple):
    """The result: ticks of all books, seconds for them, and microseconds of processor time a tick of every stage."""

    ticks: int
    seconds: float
    cpu: dict[str, float]


def simulated(folder: Path, ticks: int) -> Path:
    """Return the path of a file with a simulated market of `ticks` ticks, written on the first call."""
    path = folder / f"market-{ticks}.parquet"
    if not path.exists():
        subprocess.run(
            windvane("simulate", "--ticks", str(ticks), "--seed", "7", "--out", str(path)), check=True
        )
    return path


def run(bootstrap: str, binding: str, ticks: int, number: int, folder: Path) -> Run:
    """Replay `number` books at once in lockstep, each with its part of the ticks, after a warm-up of the workers."""
    settings = new_prefix(bootstrap)
    warm, whole = simulated(folder, _WARM_ROWS), simulated(folder, ticks // number)
    with Pipeline(settings, binding, folder) as pipeline:
        asyncio.run(_replayed(settings, books_apart("warm", PARTITIONS), warm, _WARM_ROWS, folder))
        before = pipeline.cpu()
        books = books_apart("main", number)
        seconds = asyncio.run(_replayed(settings, books, whole, ticks // number, folder))
        after = pipeline.cpu()
    sent = ticks // number * number
    return Run(sent, seconds, {name: 1e6 * (after[name] - before[name]) / sent for name in after})


async def _replayed(
    settings: KafkaSettings, books: Sequence[str], file: Path, rows: int, folder: Path
) -> float:
    """The seconds from the first tick on its topic until a reader of committed records has the last decision."""
    seen = blank([DECISIONS.name], books, rows)
    done = seen[DECISIONS.name][:, -1]
    began = time.time_ns()
    async with reading(settings) as reader:
        watch = Watch(reader, places_of(settings, [DECISIONS], books, PARTITIONS))
        await watch.begin()
        options = (
            "--bootstrap",
            settings.bootstrap,
            "--prefix",
            settings.prefix,
            "--lockstep",
            "--speed",
            "max",
            "--agents",
            ",".join(RULES),
        )
        with (folder / "replay.log").open("ab") as log:
            senders = [
                subprocess.Popen(
                    windvane("replay", str(file), *options, "--book", book, "--retraining", "off"),
                    stdout=log,
                    stderr=log,
                )
                for book in books
            ]
        await watch.follow(books, seen, lambda: not np.isnan(done).any(), _QUIET_SECONDS)
        for sender in senders:
            if await asyncio.to_thread(sender.wait) != 0:
                raise SystemExit(f"windvane replay failed: {(folder / 'replay.log').read_text()[-2000:]}")
        if np.isnan(done).any():
            raise SystemExit(f"not all rows were decided, and nothing came for {_QUIET_SECONDS:.0f} s")
        first = min([await _first(settings, book, began) for book in books])
    return float(done.max() - first) / 1e9


async def _first(settings: KafkaSettings, book: str, since: int) -> float:
    """The time at which the first record of a book was appended to its ticks topic, UNIX ns."""
    place = TopicPartition(settings.topic(TICKS), partition_of(book, PARTITIONS))
    async with reading(settings) as reader:
        reader.assign([place])
        offsets = await reader.offsets_for_times({place: since // 1_000_000})
        reader.seek(place, offsets[place].offset)
        while True:
            record = await reader.getone(place)
            if record.key == book.encode():
                return float(record.timestamp * 1e6)
