"""A broker, a prefix with its topics, and all stages as processes: what every measurement here stands on."""

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
_own: dict[str, int] = {}  # process of every broker that was started here


@contextmanager
def broker(bootstrap: str | None) -> Iterator[str]:
    """The broker that is named, or one of our own that is gone afterwards, its data too."""
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
    """Topics that nobody has used."""
    settings = KafkaSettings(bootstrap=bootstrap, prefix=f"bench-{uuid.uuid4().hex[:8]}")
    asyncio.run(layout.create(settings, partitions=partitions))
    return settings


def books_apart(name: str, number: int, partitions: int = PARTITIONS) -> tuple[str, ...]:
    """So many names of books, each on a partition of its own."""
    found: dict[int, str] = {}
    for k in count():
        if len(found) == number:
            return tuple(found.values())
        found.setdefault(partition_of(f"{name}-{k}", partitions), f"{name}-{k}")
    raise AssertionError


def windvane(*words: str) -> list[str]:
    """A command line of this program."""
    return [sys.executable, "-m", "windvane", *words]


class Processes:
    """Started together, stopped together; what they log goes to a file of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._started.append(process)
        return process

    def log(self, name: str) -> str:
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
    """`windvane up` of all rule agents on a prefix."""

    def __init__(self, settings: KafkaSettings, binding: str, folder: Path) -> None:
        super().__init__(folder)
        self._broker = _own.get(settings.bootstrap)
        self._web = _free_ports(len(STAGES))
        options = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--binding", binding)
        state = str(folder / "states" / binding)
        command = windvane("up", *options, "--state", state, "--web-port", str(self._web))
        self._name = f"up-{settings.prefix}"
        self._up = self.start(self._name, command)

    def __enter__(self) -> Self:
        """Return when every stage is at work on every partition: kernels are compiled by then."""
        until = time.monotonic() + _READY_SECONDS
        while len(self._caught_up()) < len(STAGES) * PARTITIONS:
            if time.monotonic() > until or self._up.poll() is not None:
                self.__exit__()
                raise SystemExit(f"the stages do not get to work: {self.log(self._name)[-2000:]}")
            time.sleep(0.2)
        return self

    def _caught_up(self) -> set[tuple[str, int]]:
        found = (line.partition("{") for line in self.log(self._name).splitlines())
        lines = (json.loads(brace + line) for _, brace, line in found if brace)
        return {(said["stage"], said["partition"]) for said in lines if said["event"] == "caught up"}

    def stages(self) -> dict[str, int]:
        """Process of every stage that runs."""
        if self._up.poll() is not None:
            raise SystemExit(f"windvane up ended with {self._up.returncode}: its log is in {self.folder}")
        found: dict[str, int] = {}
        for pid in Path(f"/proc/{self._up.pid}/task/{self._up.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "worker" in words:
                found[words[words.index("worker") + 1].partition(":")[0]] = int(pid)
        return found

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far of every stage, and of the broker where it is our own."""
        found = {name: cpu_seconds(pid) for name, pid in self.stages().items()}
        return found if self._broker is None else {**found, "broker": cpu_seconds(self._broker)}

    def rss(self) -> dict[str, float]:
        """Resident memory of every stage, MB."""
        return {name: _resident(pid) for name, pid in self.stages().items()}

    def spent(self) -> dict[str, tuple[float, float, float]]:
        """Of every stage: steps so far, seconds in them, seconds until what they gave was acknowledged."""
        found = {}
        for place, name in enumerate(STAGES):
            with urllib.request.urlopen(f"http://127.0.0.1:{self._web + place}/metrics", timeout=10) as said:
                text = said.read().decode()
            found[name] = (
                _total(text, "windvane_step_seconds_count"),
                _total(text, "windvane_step_seconds_sum"),
                _total(text, "windvane_commit_seconds_sum"),
            )
        return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6


def _total(text: str, name: str) -> float:
    return sum(float(v) for v in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))


def _free_ports(number: int) -> int:
    """First of so many ports in a row that nobody has now."""
    for first in range(20_000 + os.getpid() % 20_000, 60_000, number):
        held = [socket.socket() for _ in range(number)]
        try:
            for place, link in enumerate(held):
                link.bind(("127.0.0.1", first + place))
            return first
        except OSError:
            continue
        finally:
            for link in held:
                link.close()
    raise SystemExit("no free ports")


def conditions() -> str:
    """What the figures depend on."""
    load = " ".join(f"{v:.1f}" for v in os.getloadavg())
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load average {load}, SIMULATED data"
