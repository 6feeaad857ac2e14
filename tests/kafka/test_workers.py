"""Workers as a person runs them: shared partitions, ports, refusals in one sentence, and a broker that goes away."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from broker import Broker, _free_ports
from cli_harness import refusal, windvane
from running import PARTITIONS, STAGES, Process, inside, put, records
from simulated_book import config, opening, plain_run, ticks
from windvane.infra.kafka import layout
from windvane.infra.kafka.settings import KafkaSettings, partition_of
from windvane.infra.kafka.snapshots import FolderStore
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import BookClosed, Decisions, Orders, cut
from windvane.streams.records import order_lines
from windvane.streams.topics import CONTROL, DECISIONS, FEATURES, ORDERS, TICKS

ROWS = 700
BOOKS = tuple(
    next(name for k in range(99) if partition_of(name := f"book{k}", PARTITIONS) == p)
    for p in range(PARTITIONS)
)


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
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:  # noqa: S310
        return str(answer.read().decode())


def options(settings: KafkaSettings, states: Path) -> list[str]:
    return ["--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--state", str(states)]


async def send(settings: KafkaSettings, books: Sequence[str], start: int, stop: int) -> None:
    """Rows of every book, with its opening before the first and its end after the last."""
    for book in books:
        raws = [to_json(cut(ticks(ROWS, book=book), at, at + 20)) for at in range(start, stop, 20)]
        raws[:0] = [to_json(opening(config(), book))] if start == 0 else []
        raws += [to_json(BookClosed(book=book, last=ROWS - 1))] if stop == ROWS else []
        await put(settings, TICKS, raws, book)


async def decided(settings: KafkaSettings, books: Sequence[str], upto: int) -> bool:
    """Whether all rows below `upto` are decided, each once."""
    found = [from_json(raw) for raw in await records(settings, DECISIONS)]
    for book in books:
        seqs = [e.seq for e in found if isinstance(e, Decisions) and e.book == book]
        if not seqs or len(np.concatenate(seqs)) < upto:
            return False
        assert np.array_equal(np.concatenate(seqs), np.arange(len(np.concatenate(seqs))))
    return True


def backtest(book: str) -> list[bytes]:
    seen = plain_run([opening(config(), book), ticks(ROWS, book=book), BookClosed(book=book, last=ROWS - 1)])
    return [line for _, e in seen if isinstance(e, Orders) for _, line in order_lines(e, config().symbol)]


async def orders_are_right(settings: KafkaSettings, books: Sequence[str]) -> None:
    for book in books:
        found = await records(settings, ORDERS, partition_of(book, PARTITIONS))
        assert found == backtest(book), book
        assert found


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
        "shared partitions",
        lambda: bool(assigned(one)) and bool(assigned(other)) and assigned(one) | assigned(other) == everyone,
    )
    assert assigned(one) & assigned(other) == set()
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
    assert "Traceback" not in one.text + other.text


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
        words = [tool, "--bootstrap-server", topics.bootstrap, "--alter", "--topic", name, "--partitions", "6"]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        for command in (("worker", "ensemble"), ("up",)):
            said = refusal(windvane(*command, *options(topics, tmp_path)))
            assert "has 4 partitions" in said
            assert said.count("windvane topics create") == 1

    def test_no_broker(self, tmp_path: Path) -> None:
        (port,) = _free_ports(1)
        nowhere = KafkaSettings(bootstrap=f"127.0.0.1:{port}")
        for command in (("worker", "feedback"), ("up",)):
            began = time.monotonic()
            said = refusal(windvane(*command, *options(nowhere, tmp_path)))
            assert (
                said == f"no broker answers at 127.0.0.1:{port}: start one or give --bootstrap HOST:PORT"
            )
            assert time.monotonic() - began < 15

    @pytest.mark.parametrize("stage", ["decide", "features:vol_trend", "proposals:", "proposals:oracle"])
    def test_what_is_no_stage(self, stage: str, topics: KafkaSettings, tmp_path: Path) -> None:
        said = refusal(windvane("worker", stage, *options(topics, tmp_path)))
        assert "oracle" in said or "give " in said


def _damaged(states: Path, prefix: str, name: str, state: bytes) -> None:
    for partition in range(PARTITIONS):
        path = states / prefix / name / f"{partition}.wvs"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(state)


def _of_another_layout(states: Path, prefix: str) -> None:
    from windvane.streams.topology import TOPOLOGY
    from windvane.streams.worker import StageWorker

    async def save() -> None:
        store = FolderStore(states, prefix)
        for partition in range(PARTITIONS):
            await store.save("features", partition, StageWorker(TOPOLOGY[0], "of long ago").save({}))

    asyncio.run(save())


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda states, prefix: _damaged(states, prefix, "features", b"\x00garbage"), "is damaged: remove it"),
        (_of_another_layout, "the stored state of features is of another layout or version: remove it"),
    ],
    ids=["damaged", "another layout"],
)
@pytest.mark.parametrize("binding", ["aiokafka", "faust"])
def test_a_state_that_cannot_be_used_stops_the_worker_with_one_sentence(
    binding: str, spoil: Callable[[Path, str], None], sentence: str, topics: KafkaSettings, tmp_path: Path
) -> None:
    spoil(tmp_path / "states", topics.prefix)
    words = [*options(topics, tmp_path / "states"), "--binding", binding]
    process = Process(tmp_path / "log", "worker", "features", *words)
    assert process.ended() == 2, process.text
    (said,) = [line for line in process.text.splitlines() if line.startswith("windvane: ")]
    assert sentence in said
    assert "Traceback" not in process.text


def test_a_stage_that_refuses_stops_up(topics: KafkaSettings, tmp_path: Path) -> None:
    _damaged(tmp_path / "states", topics.prefix, "ensemble", b"\x00garbage")
    process = Process(tmp_path / "log", "up", *options(topics, tmp_path / "states"))
    assert process.ended(120) == 2, process.text
    assert [e["worker"] for e in process.events("a stage refuses to run, so all are stopped")] == ["ensemble"]
    assert process.events("all stages stopped")
    assert process.text.count("stage started") == 4  # none was started again


def _outage(home: Path, folder: Path, seconds: float) -> None:
    """Workers inside this process; their broker is killed in the middle, and comes back after `seconds`."""
    broker = Broker(home, folder / "broker")
    broker.start()
    settings = KafkaSettings(bootstrap=broker.bootstrap, prefix="test", control_key="not a secret, sixteen")
    book = BOOKS[:1]

    async def run() -> None:
        await layout.create(settings, partitions=PARTITIONS)
        async with inside(settings, folder / "states") as stages:
            await send(settings, book, 0, 300)
            await stages.until("first rows", lambda: decided(settings, book, 200), every=0.3)
            broker.kill()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                assert not any(task.done() for task in stages.tasks)
                await asyncio.sleep(0.2)
            await asyncio.to_thread(broker.start)
            back = time.monotonic()
            await send(settings, book, 300, ROWS)
            await stages.until("last rows", lambda: decided(settings, book, ROWS), 90, every=0.5)
            took = time.monotonic() - back
            assert took < 40, took
            print(f"decided {took:.1f} s after the broker was back")  # noqa: T201
        await orders_are_right(settings, book)

    try:
        asyncio.run(run())
    finally:
        broker.stop()


def test_a_broker_that_is_gone_for_a_while_loses_nothing(kafka_home: Path, tmp_path: Path) -> None:
    _outage(kafka_home, tmp_path, 12)


@pytest.mark.slow
def test_a_broker_that_is_gone_for_a_minute_loses_nothing(kafka_home: Path, tmp_path: Path) -> None:
    _outage(kafka_home, tmp_path, 60)


def test_without_a_key_the_workers_believe_no_control(topics: KafkaSettings, tmp_path: Path) -> None:
    """A control that was rightly signed, and an ensemble without the key: a letter, and trading goes on."""
    from windvane.infra.kafka.signing import sign
    from windvane.streams.events import Control, DeadLetter
    from windvane.streams.topics import DEAD_LETTERS

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
