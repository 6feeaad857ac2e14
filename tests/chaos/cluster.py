"""A pipeline on a real broker: its workers and senders as processes, and how long it took to recover from each kill."""

import asyncio
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from broker import Broker

from chaos.processes import Process
from chaos.report import say
from chaos.watch import Watch
from windvane.agents.factory import AGENTS
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings

STAGES = ("features", "proposals", "feedback", "ensemble")
_POLL_SECONDS = 0.02
_LANDED_SECONDS = 0.3
"""After a process was killed, what it had sent has reached the log and the watch by then."""


class ChaosError(AssertionError):
    """Something that the promise rules out."""


class Kill(NamedTuple):
    """What was killed, and how long until the books decided again."""

    what: str
    stage: str
    seconds: float


class Cluster:
    """Workers of one prefix. folder: of logs and states; named: whether workers have lasting names in their groups.

    lockstep: how its books close their rounds. state: where stages keep theirs, a folder below `folder` or "topic".
    """

    def __init__(
        self,
        settings: KafkaSettings,
        folder: Path,
        *,
        partitions: int = 4,
        binding: str = "aiokafka",
        named: bool = True,
        lockstep: bool = True,
        state: str = "states",
    ) -> None:
        self.settings, self.folder, self.partitions = settings, folder, partitions
        self.binding, self.named, self.lockstep = binding, named, lockstep
        self.state = state
        self.kills: list[Kill] = []
        self.deaths: list[str] = []  # of processes that nobody here has killed
        self.workers: dict[str, Process] = {}
        self.senders: dict[str, Process] = {}
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(layout.create(settings, partitions=partitions))
        self.watch = Watch(settings, partitions)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        for process in (*self.senders.values(), *self.workers.values()):
            if process.runs:
                process.kill()
        self.watch.stop()

    def worker(
        self, stage: str, name: str | None = None, state: str | None = None, failpoint: str = ""
    ) -> Process:
        """Start a worker of a stage, or the one of this name again; state: if not that of the cluster."""
        name, state = name or stage, state or self.state
        spec = f"proposals:{','.join(AGENTS)}" if stage == "proposals" else stage
        words = [
            "worker",
            spec,
            *self._place(),
            "--state",
            state if state == "topic" else str(self.folder / state),
            "--binding",
            self.binding,
        ]
        words += ["--instance", name] if self.named else []
        self.workers[name] = Process(words, self.folder / f"{name}.log")
        self.workers[name].start(failpoint)
        return self.workers[name]

    def all_stages(self) -> None:
        """One worker of each stage."""
        for stage in STAGES:
            self.worker(stage)

    def send(self, file: Path, book: str, speed: str = "max", records: int = 16) -> None:
        """Send a file as a book, or go on with it at another speed."""
        sender = self.senders.get(book)
        if sender is not None and sender.runs:
            sender.stop(signal.SIGINT)
        words = ["replay", str(file), *self._place(), "--book", book, "--retraining", "off"]
        words += ["--lockstep"] if self.lockstep else []
        words += ["--speed", speed, "--records", str(records)]
        self.senders[book] = Process(words, self.folder / f"sender-{book}.log")
        self.senders[book].start()

    def _place(self) -> list[str]:
        return ["--bootstrap", self.settings.bootstrap, "--prefix", self.settings.prefix]

    def until(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait, and keep an eye on every process. Raises ChaosError where it takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while not reached():
            self._tend()
            if time.monotonic() > deadline:
                ends = "; ".join(f"{n}: {p.told()}" for n, p in self.workers.items())
                far = {t: self.watch.lasts(t) for t in ("ticks", "features", "proposals", "decisions")}
                raise ChaosError(f"{what}: not within {seconds:.0f} s; rows {far}; {ends}")
            time.sleep(_POLL_SECONDS)

    def _tend(self) -> None:
        """Start again what ended by itself, as its supervisor would, and remember it."""
        for name, worker in self.workers.items():
            if worker.runs and worker.poll() is not None:
                self.deaths.append(f"worker {name} ended with {worker.ended}: {worker.told()}")
                worker.start()
        for book, sender in self.senders.items():
            if sender.runs and sender.poll() not in (None, 0):
                self.deaths.append(f"sender of {book} ended with {sender.ended}: {sender.told()}")
                sender.start()

    def died(self, name: str, seconds: float) -> tuple[float, int]:
        """Wait until a worker has ended by itself; gives when, monotonic, and its exit code."""
        worker, deadline = self.workers[name], time.monotonic() + seconds
        while (code := worker.poll()) is None:
            if time.monotonic() > deadline:
                raise ChaosError(f"{name} still runs after {seconds:.0f} s: {worker.told()}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic(), code

    def closed(self, book: str) -> None:
        """Wait until the closing of a book, which is sent last, has gone through: its last statement is there."""
        sender = self.senders[book]
        self.until(lambda: not sender.runs and sender.ended == 0, 60, f"{book} is sent")
        self.until(lambda: self.watch.closed(book), 60, f"{book} is closed")

    def ticks(self) -> Mapping[str, int]:
        """The row of every book up to which ticks are sent."""
        return self.watch.lasts("ticks")

    def written(self, stage: str) -> Mapping[str, int]:
        """How far a stage's own topic goes; of one that books do not wait for row by row: the ticks."""
        topic = {"features": "features", "proposals": "proposals", "ensemble": "decisions"}.get(
            stage, "ticks"
        )
        return self.watch.lasts(topic)

    def recovered(
        self, what: str, stage: str, since: float, rows: Mapping[str, int], seconds: float = 60.0
    ) -> float:
        """Wait until every book has decided the row after the one given, or its last; remember how long it took.

        rows: what was there at the kill, so that what follows needs the process that was killed.
        """
        done = self.decided_after(rows)
        self.until(done, seconds, f"decisions after {what}")
        took = time.monotonic() - since
        self.kills.append(Kill(what, stage, took))
        return took

    def decided_after(self, rows: Mapping[str, int]) -> Callable[[], bool]:
        """Whether every book has decided a row after the given ones; of a book that is all sent, the last is enough."""

        def done() -> bool:
            return all(
                self.watch.last("decisions", book) > row or self._ended(book) for book, row in rows.items()
            )

        return done

    def _ended(self, book: str) -> bool:
        sender = self.senders.get(book)
        sent = sender is not None and not sender.runs and sender.ended == 0
        return sent and self.watch.last("decisions", book) >= self.watch.last("ticks", book)

    def landed(self, stage: str) -> Mapping[str, int]:
        """`written` once all that a killed process had sent has arrived."""
        time.sleep(_LANDED_SECONDS)
        return self.written(stage)

    def broker_dies(self, broker: Broker) -> None:
        """Kill the broker, start it again on its data, and wait until books decide what was sent before.

        A worker that dies while the broker is away starts without one.
        """
        rows = self.ticks()
        worker = self.workers["proposals"]
        since = time.monotonic()
        broker.kill()
        worker.kill()
        worker.start()
        broker.start()
        up = time.monotonic() - since
        took = self.recovered("kill -9 broker and proposals", "broker", since, rows, 120.0)
        say(f"kill -9 broker: it serves after {up:.2f} s, the books decide after {took:.2f} s")

    def all_decided(self, rows: Mapping[str, int], seconds: float = 240.0) -> None:
        """Wait until books have decided so many rows."""

        def done() -> bool:
            return all(self.watch.last("decisions", book) >= count - 1 for book, count in rows.items())

        self.until(done, seconds, "all rows decided")

    def stop(self) -> None:
        """End all workers as an operator would, once all have joined; who does not end well is in `deaths`."""
        self.until(
            lambda: all(w.said("partitions assigned") for w in self.workers.values()), 60, "all have joined"
        )
        for process in self.senders.values():
            process.stop(signal.SIGINT)
        for name, worker in self.workers.items():
            code = worker.stop()
            if code:
                self.deaths.append(f"worker {name} ended with {code} when asked to stop: {worker.told()}")


def table(kills: Iterable[Kill]) -> str:
    """Every kill and, for each kind, the median and the longest."""
    kills = list(kills)
    lines = [f"{'kill':<44} {'stage':<10} {'recovery s':>10}"]
    lines += [f"{k.what:<44} {k.stage:<10} {k.seconds:>10.2f}" for k in kills]
    for stage in dict.fromkeys(k.stage for k in kills):
        took = [k.seconds for k in kills if k.stage == stage]
        lines.append(
            f"{stage:<22} {len(took):>3} kills: median {statistics.median(took):6.2f} s, max {max(took):6.2f} s"
        )
    return "\n".join(lines)
