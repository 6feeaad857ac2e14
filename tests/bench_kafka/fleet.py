"""Measures many books at once: processor time by process, memory, latency, and how long a killed ensemble takes."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from latency import Late
from rig import STAGES, Pipeline, cpu_seconds, new_prefix
from seen import Times, Watch, blank, places_of
from sender import Load

from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.streams.topics import DECISIONS, ORDERS

_HERE = str(Path(__file__).parent)
_HISTORY = 520  # rows: the warm-up, before which nothing is ordered, and some after it
_GATHER = 0.005  # seconds for which the feed, one process for all books, lets rows gather
_WARM_SECONDS = 900.0  # until the history of all books is decided
_SETTLE_SECONDS = 5.0  # at the steady rate before anything is measured
_QUIET_SECONDS = 15.0
_RECOVERY_SECONDS = 120.0
_CHANGE_SECONDS = 0.3  # so long after a kill all that the process had committed has been read


class Fleet(NamedTuple):
    """What one number of books came to.

    cpu: ms of processor time a tick, by process, the sender's and the reader's apart; orders, decisions: from the
    moment a tick was due until the record was read; undecided: ticks that were not decided 15 s after the window;
    memory: MB of resident memory that the books added, by stage; state: bytes of stored state a book, by stage;
    storing: seconds that storing the last state took, by stage; recovery: seconds from the kill of the ensemble until
    every book had decided a row that was due after it, NaN where that took too long or was not asked for.
    """

    books: int
    rate: float
    seconds: float
    cpu: dict[str, float]
    orders: Late
    decisions: Late
    undecided: int
    memory: dict[str, float]
    state: dict[str, float]
    storing: dict[str, float]
    recovery: float
    load: float

    @property
    def busy(self) -> float:
        """Ms of processor time a tick of all stages and the broker."""
        return sum(ms for name, ms in self.cpu.items() if name in (*STAGES, "broker"))

    @property
    def megabytes(self) -> float:
        """MB of memory a book in all workers."""
        return sum(self.memory.values()) / self.books


class Law(NamedTuple):
    """Ms of processor time a second = fixed + each x ticks a second: what a deployment costs, and what a tick adds."""

    fixed: float
    each: float

    @staticmethod
    def of(runs: list[Fleet]) -> "Law":
        """Fit by least squares of the relative errors; needs runs of two numbers of books."""
        ticks = np.array([run.books * run.rate for run in runs])
        cost = np.array([run.busy for run in runs]) * ticks
        design = np.column_stack([np.ones(len(runs)), ticks]) / cost[:, None]
        fixed, each = np.linalg.lstsq(design, np.ones(len(runs)), rcond=None)[0]
        return Law(float(fixed), float(each))


def run(
    bootstrap: str,
    binding: str,
    books: int,
    rate: float,
    seconds: float,
    folder: Path,
    *,
    partitions: int,
    closing: str,
    recovery: bool,
) -> Fleet:
    """Measure `books` books of `rate` ticks/s each for `seconds` seconds, on a prefix and a pipeline of their own."""
    settings = new_prefix(bootstrap, partitions)
    load = Load(
        bootstrap=bootstrap,
        prefix=settings.prefix,
        books=tuple(f"fleet-{k}" for k in range(books)),
        rate=rate * books,
        seconds=_SETTLE_SECONDS + seconds + _QUIET_SECONDS + (_RECOVERY_SECONDS if recovery else 0.0),
        closing=closing,
        history=_HISTORY,
        gather=_GATHER,
    )
    with Pipeline(settings, binding, folder, partitions) as pipeline:
        return asyncio.run(_Measurement(settings, pipeline, load, seconds, partitions).measure(recovery))


class _Measurement:
    """One load on one pipeline, measured while it lasts."""

    def __init__(
        self, settings: KafkaSettings, pipeline: Pipeline, load: Load, seconds: float, partitions: int
    ) -> None:
        self._settings, self._pipeline, self._load = settings, pipeline, load
        self._seconds, self._partitions = seconds, partitions
        self._seen = blank([DECISIONS.name, ORDERS.name], load.books, load.rows)

    @property
    def _decided(self) -> Times:
        return self._seen[DECISIONS.name]

    async def measure(self, recovery: bool) -> Fleet:
        """Let the load settle, measure it for the window, and kill the ensemble in the end where that is asked for."""
        empty = self._pipeline.rss()
        places = places_of(self._settings, (DECISIONS, ORDERS), self._load.books, self._partitions)
        async with reading(self._settings) as reader:
            watch = Watch(reader, places)
            await watch.begin()
            following = asyncio.create_task(
                watch.follow(self._load.books, self._seen, lambda: False, _WARM_SECONDS)
            )
            sender = await self._sender()
            try:
                start = await self._live(sender)
                fleet = await self._window(sender.pid, start, empty)
                if recovery and not fleet.undecided:
                    fleet = fleet._replace(recovery=await self._kill())
            finally:
                following.cancel()
                if sender.returncode is None:
                    sender.kill()
                await sender.wait()
        return fleet

    async def _sender(self) -> asyncio.subprocess.Process:
        """Start the sender as a process of its own, so that nothing in this process delays it."""
        words = (sys.executable, _HERE, "send", msgspec.json.encode(self._load).decode())
        return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)

    async def _live(self, sender: asyncio.subprocess.Process) -> int:
        """Wait until the history is decided; returns the time at which the first row after it is due, UNIX ns."""
        if sender.stdout is None:
            raise RuntimeError("the sender has no output")
        line = await asyncio.wait_for(sender.stdout.readline(), _WARM_SECONDS)
        if not line:
            raise SystemExit("the sender has ended before the history was decided")
        return int(json.loads(line)["start"])

    def _due(self, start: int) -> Times:
        """The times at which the rows after the history are due, UNIX ns (books, rows)."""
        books, rows = len(self._load.books), self._load.rows - _HISTORY
        order = np.arange(rows)[None, :] * books + np.arange(books)[:, None]
        return start + order * 1e9 / self._load.rate

    async def _window(self, sender: int, start: int, empty: Mapping[str, float]) -> Fleet:
        due, pipeline, count = self._due(start), self._pipeline, len(self._load.books)
        first = start + _SETTLE_SECONDS * 1e9
        await asyncio.sleep(max(0.0, (first - time.time_ns()) / 1e9))
        before = {**pipeline.cpu(), "sender": cpu_seconds(sender), "reader": cpu_seconds(os.getpid())}
        began = time.time_ns()
        await asyncio.sleep(self._seconds)
        after = {**pipeline.cpu(), "sender": cpu_seconds(sender), "reader": cpu_seconds(os.getpid())}
        ended, memory = time.time_ns(), pipeline.rss()
        measured = (due >= began) & (due < ended)
        await self._until(lambda: not np.isnan(self._decided[:, _HISTORY:][measured]).any(), _QUIET_SECONDS)
        decided, ordered = (self._seen[t.name][:, _HISTORY:][measured] for t in (DECISIONS, ORDERS))
        ticks = int(measured.sum())
        return Fleet(
            books=count,
            rate=self._load.rate / count,
            seconds=self._seconds,
            cpu={name: 1e3 * (after[name] - before[name]) / ticks for name in after},
            orders=Late.of(ordered - due[measured]),
            decisions=Late.of(decided - due[measured]),
            undecided=int(np.isnan(decided).sum()),
            memory={name: memory[name] - empty[name] for name in STAGES},
            state={name: size / count for name, size in pipeline.stored().items()},
            storing=pipeline.storing(),
            recovery=float("nan"),
            load=os.getloadavg()[0],
        )

    async def _kill(self) -> float:
        """Kill the ensemble; returns the seconds until every book has decided a row that it had not decided."""
        os.kill(self._pipeline.stages()["ensemble"], signal.SIGKILL)
        killed = time.time_ns()
        await asyncio.sleep(_CHANGE_SECONDS)
        known = np.isnan(self._decided).sum(axis=1)
        again = await self._until(
            lambda: bool((np.isnan(self._decided).sum(axis=1) < known).all()), _RECOVERY_SECONDS
        )
        return (time.time_ns() - killed) / 1e9 if again else float("nan")

    async def _until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, for so many seconds at most; returns whether it is."""
        until = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.05)
        return True
