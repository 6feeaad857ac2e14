"""A pipeline on a real broker: its workers and senders are processes, and the recovery from each kill is timed."""

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
"""So long after a kill, everything that the process had sent has reached the topics and the watch."""


class ChaosError(AssertionError):
    """Something happened that docs/promise.md rules out."""


class Kill(NamedTuple):
    """A process that was killed, and the seconds until all books had decisions again."""

    what: str
    stage: str
    seconds: float


class Cluster:
    """The workers and senders of one prefix, as processes; a context manager that kills them at its end.

    folder: of logs and states; named: whether workers have lasting names in their groups; lockstep: whether the rounds
    of its books close in lockstep instead of by the clock; state: where stages keep their states, a folder below
    `folder` or "topic".
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
        """Start a worker of a stage, or start the worker of this name again.

        name: that of the stage by default; state: where it keeps its state, None for the cluster's own place;
        failpoint: STAGE:POINT:N, where it is to kill itself.
        """
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
        key = {"WINDVANE_CONTROL_KEY": self.settings.control_key} if self.settings.control_key else None
        self.workers[name] = Process(words, self.folder / f"{name}.log", key)
        self.workers[name].start(failpoint)
        return self.workers[name]

    def all_stages(self) -> None:
        """Start one worker of each stage."""
        for stage in STAGES:
            self.worker(stage)

    def send(self, file: Path, book: str, speed: str = "max", records: int = 16) -> None:
        """Start to send a file as a book, or go on with it at another speed.

        speed: "max" or a multiple of real time, such as "100x"; records: rows in a record.
        """
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
        """Wait until `reached` returns true, and start processes again that end by themselves in the meantime.

        what: the thing waited for, in words. Raises ChaosError after `seconds` seconds.
        """
        deadline = time.monotonic() + seconds
        while not reached():
            self._tend()
            if time.monotonic() > deadline:
                ends = "; ".join(f"{n}: {p.log_end()}" for n, p in self.workers.items())
                far = {t: self.watch.lasts(t) for t in ("ticks", "features", "proposals", "decisions")}
                raise ChaosError(f"{what}: not within {seconds:.0f} s; rows {far}; {ends}")
            time.sleep(_POLL_SECONDS)

    def _tend(self) -> None:
        """Start processes again that ended by themselves, as a supervisor would, and note them in `deaths`."""
        for name, worker in self.workers.items():
            if worker.runs and worker.poll() is not None:
                self.deaths.append(f"worker {name} ended with {worker.ended}: {worker.log_end()}")
                worker.start()
        for book, sender in self.senders.items():
            if sender.runs and sender.poll() not in (None, 0):
                self.deaths.append(f"sender of {book} ended with {sender.ended}: {sender.log_end()}")
                sender.start()

    def died(self, name: str, seconds: float) -> tuple[float, int]:
        """Wait until a worker has ended by itself; returns the time.monotonic() of that, and its exit code."""
        worker, deadline = self.workers[name], time.monotonic() + seconds
        while (code := worker.poll()) is None:
            if time.monotonic() > deadline:
                raise ChaosError(f"{name} still runs after {seconds:.0f} s: {worker.log_end()}")
            time.sleep(_POLL_SECONDS)
        return time.monotonic(), code

    def closed(self, book: str) -> None:
        """Wait until the end of a book, which is sent last, has passed all stages and its last statement is written."""
        sender = self.senders[book]
        self.until(lambda: not sender.runs and sender.ended == 0, 60, f"{book} is sent")
        self.until(lambda: self.watch.closed(book), 60, f"{book} is closed")

    def ticks(self) -> Mapping[str, int]:
        """The last row of every book that is on the ticks topic."""
        return self.watch.lasts("ticks")

    def written(self, stage: str) -> Mapping[str, int]:
        """The last row of every book on the topic that a stage writes.

        For a stage that writes no topic row by row, it is the last row on the ticks topic.
        """
        topic = {"features": "features", "proposals": "proposals", "ensemble": "decisions"}.get(
            stage, "ticks"
        )
        return self.watch.lasts(topic)

    def recovered(
        self, what: str, stage: str, since: float, rows: Mapping[str, int], seconds: float = 60.0
    ) -> float:
        """Wait until every book has decided a row after the given one, or its last, and note the seconds in `kills`.

        what, stage: names for the table; since: the time.monotonic() of the kill; rows: the last row of each book at
        the kill, since later ones need the process that was killed. Raises ChaosError after `seconds` seconds.
        """
        done = self.decided_after(rows)
        self.until(done, seconds, f"decisions after {what}")
        took = time.monotonic() - since
        self.kills.append(Kill(what, stage, took))
        return took

    def decided_after(self, rows: Mapping[str, int]) -> Callable[[], bool]:
        """Return a function that says whether every book has decided a row after the given one.

        For a book whose rows are all sent, its last row is enough.
        """

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
        """Wait until everything that a killed process had sent has arrived, and return `written` of its stage."""
        time.sleep(_LANDED_SECONDS)
        return self.written(stage)

    def broker_dies(self, broker: Broker, seconds: float = 120.0) -> None:
        """Kill the broker and a worker, start both again, and wait until books have decided what was sent before.

        The worker is started first, so it starts while the broker is down.
        """
        rows = self.ticks()
        worker = self.workers["proposals"]
        since = time.monotonic()
        broker.kill()
        worker.kill()
        worker.start()
        broker.start()
        up = time.monotonic() - since
        took = self.recovered("kill -9 broker and proposals", "broker", since, rows, seconds)
        say(f"kill -9 broker: it serves after {up:.2f} s, the books decide after {took:.2f} s")

    def all_decided(self, rows: Mapping[str, int], seconds: float = 240.0) -> None:
        """Wait until each book has decided as many rows as `rows` says."""

        def done() -> bool:
            return all(self.watch.last("decisions", book) >= count - 1 for book, count in rows.items())

        self.until(done, seconds, "all rows decided")

    def stop(self) -> None:
        """Stop all workers by SIGTERM once all have joined their groups; those that fail are noted in `deaths`."""
        self.until(
            lambda: all(w.logged("partitions assigned") for w in self.workers.values()), 60, "all have joined"
        )
        for process in self.senders.values():
            process.stop(signal.SIGINT)
        for name, worker in self.workers.items():
            code = worker.stop()
            if code:
                self.deaths.append(f"worker {name} ended with {code} when asked to stop: {worker.log_end()}")


def table(kills: Iterable[Kill]) -> str:
    """Return a table of all kills, with the median and longest recovery of each stage."""
    kills = list(kills)
    lines = [f"{'kill':<44} {'stage':<10} {'recovery s':>10}"]
    lines += [f"{k.what:<44} {k.stage:<10} {k.seconds:>10.2f}" for k in kills]
    for stage in dict.fromkeys(k.stage for k in kills):
        took = [k.seconds for k in kills if k.stage == stage]
        lines.append(
            f"{stage:<22} {len(took):>3} kills: median {statistics.median(took):6.2f} s, max {max(took):6.2f} s"
        )
    return "\n".join(lines)
