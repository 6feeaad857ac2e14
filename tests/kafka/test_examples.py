"""The examples are programs that work: run as a reader would run them, against a real broker."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from jsonschema import Draft202012Validator
from order_log import lines, many, write

from windvane.infra.kafka.broker.clients import ends_of, new_reader
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.schemas.messages import documents
from windvane.streams.records import Fill
from windvane.streams.topics import FILLS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BAD = [b"garbage", b"[]"]


def venue(settings: KafkaSettings, *words: object) -> list[str]:
    at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)
    return [sys.executable, str(EXAMPLES / "orders_aiokafka.py"), *at, *map(str, words)]


def run(command: list[str], **options: Any) -> list[str]:
    """The lines on stdout of a program that must work."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


async def _committed(settings: KafkaSettings) -> list[bytes]:
    reader = new_reader(settings)
    await reader.start()
    try:
        await reader.topics()
        places = tuple(TopicPartition(settings.topic(FILLS), number) for number in range(4))
        _, ends = await ends_of(reader, places)
        reader.assign(places)
        await reader.seek_to_beginning(*places)
        found: list[bytes] = []
        while any([await reader.position(place) < ends[place] for place in places]):
            for records in (await reader.getmany(timeout_ms=200)).values():
                found += [record.value for record in records]
        return found
    finally:
        await reader.stop()


def fills(settings: KafkaSettings) -> list[dict[str, Any]]:
    """All that is committed on the fills topic."""
    return [json.loads(raw) for raw in asyncio.run(_committed(settings))]


def test_the_venue_fills_each_order_once_and_in_the_form_of_a_fill(topics: KafkaSettings) -> None:
    raws = lines()[:50]
    asyncio.run(write(topics, "main", [*BAD, *raws[:30], *raws[10:20], *raws[30:]], aborting=[raws[49]]))
    ids = [json.loads(raw)["id"] for raw in raws]
    assert [line.split()[0] for line in run(venue(topics, "--history", "--until-idle", 2))] == ids
    assert run(venue(topics, "--history", "--until-idle", 2)) == [], "started again it has nothing to do"
    found = fills(topics)
    assert [fill["order_id"] for fill in found] == ids
    check = Draft202012Validator(documents()["Fill"])
    for fill, raw in zip(found, raws, strict=True):
        check.validate(fill)
        order = json.loads(raw)
        assert (fill["side"], fill["qty"], fill["ts"]) == (order["side"], order["qty"], order["ts"])
        assert (fill["price"] > order["price"]) == (order["side"] == "buy")
        msgspec.convert(fill, Fill)


def test_the_venue_refuses_what_has_expired(topics: KafkaSettings) -> None:
    asyncio.run(write(topics, "old", many(2, "old")))
    asyncio.run(write(topics, "new", many(3, "new", valid_until=2**62)))
    assert sorted(line.split()[0] for line in run(venue(topics, "--until-idle", 2))) == [
        f"new.{seq}.order" for seq in range(3)
    ]


def test_a_venue_killed_again_and_again_fills_each_order_once(topics: KafkaSettings) -> None:
    asyncio.run(write(topics, "many", many(4000), each=100))
    for lines_until_killed in (1, 300, 250):
        with subprocess.Popen(
            venue(topics, "--history"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as run_on:
            assert run_on.stdout is not None
            for _ in range(lines_until_killed):
                assert run_on.stdout.readline()
            run_on.send_signal(signal.SIGKILL)
    before = len(fills(topics))
    assert 551 <= before < 4000, "it was killed in the middle"
    run(venue(topics, "--history", "--until-idle", 3))
    assert [fill["order_id"] for fill in fills(topics)] == [f"many.{seq}.order" for seq in range(4000)]


@pytest.fixture(scope="session")
def node_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JavaScript example with its package, in a folder of its own."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no node and npm: install Node 18 or newer to run the JavaScript example")
    folder = tmp_path_factory.mktemp("node") / "orders_js"
    shutil.copytree(EXAMPLES / "orders_js", folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm could not fetch kafkajs: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def node(folder: Path, settings: KafkaSettings, *words: object) -> list[dict[str, Any]]:
    """The orders that the JavaScript example saw."""
    at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--group", f"{settings.prefix}.js")
    program = shutil.which("node") or "node"
    command = [program, "orders.mjs", *at, *map(str, words)]
    return [json.loads(line) for line in run(command, cwd=folder)]


def test_node_sees_committed_orders_once_and_to_the_nanosecond(
    topics: KafkaSettings, node_example: Path
) -> None:
    raws = many(300)  # their times differ by single nanoseconds, which a JavaScript number cannot hold
    timed = [raw.replace(b"00.000000000Z", b"00.%09dZ" % seq) for seq, raw in enumerate(raws)]
    assert int(float(json.loads(timed[1])["ts"])) != json.loads(timed[1])["ts"]
    ghost = timed[0].replace(b"many.0.order", b"ghost").replace(b'"seq":0', b'"seq":9999')
    asyncio.run(write(topics, "many", [*BAD, *timed[:200], *timed[100:200]], each=50, aborting=[ghost]))
    seen = node(node_example, topics, "--until-idle", 3)
    assert [order["id"] for order in seen] == [json.loads(raw)["id"] for raw in timed[:200]]
    for order, raw in zip(seen, timed, strict=False):
        sent = json.loads(raw)
        assert (order["ts"], order["valid_until"]) == (str(sent["ts"]), str(sent["valid_until"]))
        assert (order["qty"], order["price"], order["time"]) == (sent["qty"], sent["price"], sent["time"])
        assert order["expired"] is True
    asyncio.run(write(topics, "many", timed[200:]))
    again = node(node_example, topics, "--until-idle", 3)
    assert [order["id"] for order in again] == [json.loads(raw)["id"] for raw in timed[200:]]
