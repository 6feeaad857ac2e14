"""Workers as a person runs them: shared partitions, ports, refusals in one sentence, and a broker that goes away."""

import asyncio
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import _free_ports
from cli_harness import refusal, windvane
from plain_books import BOOKS, ROWS, decided, orders_are_right, send
from running import PARTITIONS, STAGES, Process, inside, put, records

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.signing import sign
from windvane.infra.kafka.broker.snapshots import FolderStore
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import Control, DeadLetter
from windvane.streams.topics import CONTROL, DEAD_LETTERS, FEATURES
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker


def listening(pid: int) -> list[tuple[str, int]]:
    """Addresses and ports that a process listens on, from what the kernel says of its sockets."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
        inodes |= {found[1]} if found else set()
    there: list[tuple[str, int]] = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, port = words[1].split(":")
                there.append((address, int(port, 16)))
    return there


LOOPBACK = "0100007F"  # 127.0.0.1 as the kernel writes it


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def options(settings: KafkaSettings, states: Path) -> list[str]:
    return ["--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--state", str(states)]


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Whatever is in the list is stopped in the end."""
    running: list[Process] = []
    yield running
    for process in running:
        process.stop()


def assigned(process: Process) -> set[int]:
    told = process.events("partitions assigned")
    return set(told[-1]["partitions"]) if told else set()


@pytest.mark.parametrize("binding", ["aiokafka", "faust"])
def test_two_workers_share_the_partitions_and_one_takes_them_all_when_the_other_leaves(
    binding: str, topics: KafkaSettings, tmp_path: Path, processes: list[Process]
) -> None:
    ports = _free_ports(2)
    for place, port in enumerate(ports):
        words = [*options(topics, tmp_path / "states"), "--binding", binding, "--web-port", port]
        processes.append(Process(tmp_path / f"log{place}", "worker", "features", *words))
    one, other = processes
    everyone = set(range(PARTITIONS))
    one.until(
        "disjoint shares",
        lambda: bool(assigned(one)) and bool(assigned(other)) and assigned(one) == everyone - assigned(other),
    )
    for process, port in zip(processes, ports, strict=True):
        assert listening(process.pid) == [(LOOPBACK, port)]
        assert page(port, "/health") == "ok\n"
        assert "windvane_build_info" in page(port, "/metrics")

    async def run() -> None:
        async with inside(topics, tmp_path / "inside", STAGES[1:]) as rest:
            await send(topics, BOOKS, 0, 300)
            await rest.until("first rows", lambda: decided(topics, BOOKS, 300), every=0.5)
            assert await asyncio.to_thread(one.stop) == 0
            await send(topics, BOOKS, 300, ROWS)
            await asyncio.to_thread(other.until, "all partitions", lambda: assigned(other) == everyone)
            await rest.until("last rows", lambda: decided(topics, BOOKS, ROWS), every=0.5)
        await orders_are_right(topics, BOOKS)

    asyncio.run(run())
    assert not [line for line in (one.text + other.text).splitlines() if not line.startswith("{")]


class TestRefusals:
    """Before a worker starts: one sentence, exit code 2."""

    def test_a_missing_topic(self, topics: KafkaSettings, tmp_path: Path, kafka_home: Path) -> None:
        name = f"{topics.prefix}.proposals"
        tool = kafka_home / "bin" / "kafka-topics.sh"
        words = [tool, "--bootstrap-server", topics.bootstrap, "--delete", "--topic", name]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        said = refusal(windvane("worker", "features", *options(topics, tmp_path)))
        mend = f"run `windvane topics create --bootstrap {topics.bootstrap} --prefix {topics.prefix} --partitions 4`"
        assert said == f"topic {name} is missing: {mend}"

    def test_topics_split_unlike(self, topics: KafkaSettings, tmp_path: Path, kafka_home: Path) -> None:
        name = f"{topics.prefix}.orders"
        tool = kafka_home / "bin" / "kafka-topics.sh"
        words = [
            tool,
            "--bootstrap-server",
            topics.bootstrap,
            "--alter",
            "--topic",
            name,
            "--partitions",
            "6",
        ]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        for command in (("worker", "ensemble"), ("up",)):
            said = refusal(windvane(*command, *options(topics, tmp_path)))
            assert "has 4 partitions" in said
            assert said.count("windvane topics create") == 1

    def test_no_broker(self, tmp_path: Path) -> None:
        (port,) = _free_ports(1)
        began = time.monotonic()
        said = refusal(windvane("up", *options(KafkaSettings(bootstrap=f"127.0.0.1:{port}"), tmp_path)))
        assert said == f"no broker answers at 127.0.0.1:{port}: start one or give --bootstrap HOST:PORT"
        assert time.monotonic() - began < 15

    def test_a_worker_without_a_broker_says_so_once_and_waits(
        self, tmp_path: Path, processes: list[Process]
    ) -> None:
        """It may have been started again while the broker is away: it begins once there is one."""
        (port,) = _free_ports(1)
        nowhere = KafkaSettings(bootstrap=f"127.0.0.1:{port}")
        processes.append(worker := Process(tmp_path, "worker", "feedback", *options(nowhere, tmp_path)))
        worker.until("a line", lambda: bool(worker.events("waiting for the broker")))
        (line,) = worker.events("waiting for the broker")
        assert line["reason"].startswith(f"no broker answers at 127.0.0.1:{port}: ")
        assert len(worker.text.splitlines()) == 1

    @pytest.mark.parametrize("stage", ["decide", "features:vol_trend", "proposals:", "proposals:oracle"])
    def test_what_is_no_stage(self, stage: str, topics: KafkaSettings, tmp_path: Path) -> None:
        said = refusal(windvane("worker", stage, *options(topics, tmp_path)))
        assert "oracle" in said or "give " in said


def _damaged(states: Path, settings: KafkaSettings, name: str, state: bytes) -> None:
    mine = states / asyncio.run(layout.cluster(settings)) / settings.prefix / name
    for partition in range(PARTITIONS):
        path = mine / f"{partition}.wvs"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(state)


def _of_another_layout(states: Path, settings: KafkaSettings) -> None:
    async def save() -> None:
        store = FolderStore(states / await layout.cluster(settings), settings.prefix)
        for partition in range(PARTITIONS):
            await store.save("features", partition, [StageWorker(TOPOLOGY[0], "of long ago").save({})])

    asyncio.run(save())


DAMAGED = ("damaged", "is damaged: remove it")
UNLIKE = ("another layout", "the stored state of features is of another layout, ")


@pytest.mark.parametrize(
    ("binding", "wrong", "sentence"),
    [
        ("aiokafka", *DAMAGED),
        ("faust", *UNLIKE),
        pytest.param("aiokafka", *UNLIKE, marks=pytest.mark.slow),
        pytest.param("faust", *DAMAGED, marks=pytest.mark.slow),
    ],
)
def test_a_state_that_cannot_be_used_stops_the_worker_with_one_sentence(
    binding: str, wrong: str, sentence: str, topics: KafkaSettings, tmp_path: Path
) -> None:
    if wrong == "damaged":
        _damaged(tmp_path / "states", topics, "features", b"\x00garbage")
    else:
        _of_another_layout(tmp_path / "states", topics)
    words = [*options(topics, tmp_path / "states"), "--binding", binding]
    process = Process(tmp_path / "log", "worker", "features", *words)
    assert process.ended() == 2, process.text
    (said,) = [line for line in process.text.splitlines() if line.startswith("windvane: ")]
    assert sentence in said
    assert not [line for line in process.text.splitlines() if line.startswith("Traceback")]


def test_a_stage_that_refuses_stops_up(topics: KafkaSettings, tmp_path: Path) -> None:
    _damaged(tmp_path / "states", topics, "ensemble", b"\x00garbage")
    process = Process(tmp_path / "log", "up", *options(topics, tmp_path / "states"))
    assert process.ended(120) == 2, process.text
    assert [e["worker"] for e in process.events("a stage refuses to run, so all are stopped")] == ["ensemble"]
    assert process.events("all stages stopped")
    assert process.text.count("stage started") == 4  # none was started again


def test_without_a_key_the_workers_believe_no_control(topics: KafkaSettings, tmp_path: Path) -> None:
    """A control that was rightly signed, and an ensemble without the key: a letter, and trading goes on."""
    keyless = KafkaSettings(bootstrap=topics.bootstrap, prefix=topics.prefix)
    halt = Control(book=BOOKS[0], number=1, action="halt", effective_from=0)
    key = (topics.control_key or "").encode()

    async def run() -> None:
        await put(topics, CONTROL, [to_json(sign(halt, key, topics.prefix))], BOOKS[0])
        async with inside(keyless, None) as stages:  # states on the topic: the whole way through it
            await send(topics, BOOKS[:1], 0, ROWS)
            await stages.until("last row", lambda: decided(topics, BOOKS[:1], ROWS), every=0.5)
        await orders_are_right(topics, BOOKS[:1])
        letters = [from_json(raw) for raw in await records(topics, DEAD_LETTERS)]
        assert [e.reason for e in letters if isinstance(e, DeadLetter)] == [
            "control 1 is not signed by who may: set the key that the workers have"
        ]
        assert await records(topics, FEATURES)

    asyncio.run(run())
