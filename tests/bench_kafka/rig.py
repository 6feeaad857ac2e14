"""What all measurements need: a broker, a prefix with its topics, and all stages as processes."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self

from broker import Broker, distribution

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of

STAGES = ("features", "proposals", "feedback", "ensemble")
PARTITIONS = 4
_STOP_SECONDS = 30.0
_READY_SECONDS = 300.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_own: dict[str, int] = {}  # process id of every broker that was started here, by its bootstrap address


@contextmanager
def broker(bootstrap: str | None) -> Iterator[str]:
    """Context manager: the address of the named broker, or of one that is started and removed with its data at the end.

    Ends the program where none is named and no Kafka distribution is installed.
    """
    if bootstrap is not None:
        yield bootstrap
        return
    home = distribution()
    if home is None:
        raise SystemExit("no Kafka: give --bootstrap HOST:PORT, or set KAFKA_HOME to a distribution")
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as folder:
        own = Broker(home, Path(folder))
        own.start()
        _own[own.bootstrap] = own.pid
        try:
            yield own.bootstrap
        finally:
            own.stop()


def new_prefix(bootstrap: str, partitions: int = PARTITIONS) -> KafkaSettings:
    """Return the settings of a new prefix, whose topics are created and empty."""
    settings = KafkaSettings(bootstrap=bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
    asyncio.run(layout.create(settings, partitions=partitions))
    return settings


def books_apart(name: str, number: int, partitions: int = PARTITIONS) -> tuple[str, ...]:
    """Return `number` names of books, each of which lies on a partition of its own."""
    books: dict[int, str] = {}
    for k in count():
        if len(books) == number:
            return tuple(books.values())
        books.setdefault(partition_of(f"{name}-{k}", partitions), f"{name}-{k}")
    raise AssertionError


def windvane(*words: str) -> list[str]:
    """Return the command line of a windvane command, for this interpreter."""
    return [sys.executable, "-m", "windvane", *words]


class Processes:
    """Processes that are stopped together at the end of a context; each logs to a file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process that logs to `name`.log."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._started.append(process)
        return process

    def log(self, name: str) -> str:
        """Return the log of a process."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Pipeline(Processes):
    """`windvane up` with all agents on a prefix; the context begins when all stages are at work."""

    def __init__(
        self, settings: KafkaSettings, binding: str, folder: Path, partitions: int = PARTITIONS
    ) -> None:
        super().__init__(folder)
        self._partitions = partitions
        self._broker = _own.get(settings.bootstrap)
        self._web = _free_ports(len(STAGES))
        options = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--binding", binding)
        self._states, self._prefix = folder / "states" / binding, settings.prefix
        command = windvane("up", *options, "--state", str(self._states), "--web-port", str(self._web))
        self._name = f"up-{settings.prefix}"
        self._up = self.start(self._name, command)

    def __enter__(self) -> Self:
        """Wait until every stage is at work on every partition, by when kernels are compiled."""
        until = time.monotonic() + _READY_SECONDS
        while len(self._caught_up()) < len(STAGES) * self._partitions:
            if time.monotonic() > until or self._up.poll() is not None:
                self.__exit__()
                raise SystemExit(f"the stages do not get to work: {self.log(self._name)[-2000:]}")
            time.sleep(0.2)
        return self

    def _caught_up(self) -> set[tuple[str, int]]:
        """Stage and partition of every line in the log that says that a stage has caught up."""
        parts = (line.partition("{") for line in self.log(self._name).splitlines())
        lines = (json.loads(brace + line) for _, brace, line in parts if brace)
        return {(entry["stage"], entry["partition"]) for entry in lines if entry["event"] == "caught up"}

    def stages(self) -> dict[str, int]:
        """Return the process id of every running stage, by name; ends the program where `windvane up` has ended."""
        if self._up.poll() is not None:
            raise SystemExit(f"windvane up ended with {self._up.returncode}: its log is in {self.folder}")
        pids: dict[str, int] = {}
        for pid in Path(f"/proc/{self._up.pid}/task/{self._up.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "worker" in words:
                pids[words[words.index("worker") + 1].partition(":")[0]] = int(pid)
        return pids

    def cpu(self) -> dict[str, float]:
        """Return the seconds of processor time so far of every stage, and of the broker where it was started here."""
        seconds = {name: cpu_seconds(pid) for name, pid in self.stages().items()}
        return seconds if self._broker is None else {**seconds, "broker": cpu_seconds(self._broker)}

    def rss(self) -> dict[str, float]:
        """Return the resident memory of every stage in MB."""
        return {name: _resident(pid) for name, pid in self.stages().items()}

    def stored(self) -> dict[str, int]:
        """Return the bytes of the stored states of every stage."""
        sizes = dict.fromkeys(STAGES, 0)
        for file in self._states.glob(f"*/{self._prefix}/*/*.wvs"):
            sizes[file.parent.name.partition(".")[0]] += file.stat().st_size
        return sizes

    def storing(self) -> dict[str, float]:
        """Return the seconds that storing the last state took, by stage, the longest of its partitions."""
        return {
            name: max(_values(self._page(place), "windvane_snapshot_seconds"), default=0.0)
            for place, name in enumerate(STAGES)
        }

    def _page(self, place: int) -> str:
        """The metrics of the stage at a place of STAGES, in Prometheus' text format."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._web + place}/metrics", timeout=30) as answer:
            return str(answer.read().decode())

    def spent(self) -> dict[str, tuple[float, float, float]]:
        """Return for every stage the steps so far, the seconds they took, and the seconds their commits took."""
        by_stage = {}
        for place, name in enumerate(STAGES):
            text = self._page(place)
            by_stage[name] = (
                _total(text, "windvane_step_seconds_count"),
                _total(text, "windvane_step_seconds_sum"),
                _total(text, "windvane_commit_seconds_sum"),
            )
        return by_stage


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process in seconds, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _resident(pid: int) -> float:
    """The resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def _values(text: str, name: str) -> list[float]:
    """The values of all series of a metric in Prometheus' text format."""
    return [float(v) for v in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)]


def _total(text: str, name: str) -> float:
    return sum(_values(text, name))


def _free_ports(number: int) -> int:
    """The first of `number` consecutive ports that are free now."""
    for first in range(20_000 + os.getpid() % 20_000, 60_000, number):
        links = [socket.socket() for _ in range(number)]
        try:
            for place, link in enumerate(links):
                link.bind(("127.0.0.1", first + place))
            return first
        except OSError:
            continue
        finally:
            for link in links:
                link.close()
    raise SystemExit("no free ports")


def conditions() -> str:
    """Return a line with the time, the cores and the load average, on which the figures depend."""
    load = " ".join(f"{v:.1f}" for v in os.getloadavg())
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load average {load}, SIMULATED data"
