"""The examples are programs that work: run as a reader would run them, against a real broker."""

import asyncio
import json
import math
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import TopicPartition
from jsonschema import Draft202012Validator
from order_log import lines, many, write
from plain_books import decided
from running import STAGES, inside, put, records

from simulated_book import plain_run
from windvane.infra.kafka.broker.clients import ends_of, new_reader
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.tools.books import known_books, opening_of
from windvane.infra.schemas.messages import documents
from windvane.metamodel.base.config import TradingConfig, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.streams.codec import from_json
from windvane.streams.events import BookClosed, BookOpened, Event, Orders, Ticks, join
from windvane.streams.records import Fill, order_lines
from windvane.streams.topics import DEAD_LETTERS, FILLS, TICKS

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BAD = [b"garbage", b"[]"]
FED_ROWS = 1500
FED_AGENTS = ("vol_trend", "buy_and_hold")


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
    """The JavaScript examples with their package, in a folder of their own."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("no node and npm: install Node 18 or newer to run the JavaScript examples")
    folder = tmp_path_factory.mktemp("node") / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("node_modules"))
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


def test_the_partitions_that_the_page_on_feeding_names_are_right() -> None:
    text = (EXAMPLES.parent / "docs" / "feeding.md").read_text(encoding="utf-8")
    four, two, others = re.search(r"of 4 partitions (.*?) and (.*?); of 12, (.*?)\.\n", text).groups()  # type: ignore[union-attr]
    said = [(4, four), (4, two), *((12, part) for part in others.split(" and "))]
    found = [(of, re.findall(r"`(.+?)`", part)[0], int(part.rsplit(" ", 1)[1])) for of, part in said]
    assert len(found) == 4
    assert [partition_of(book, of) for of, book, _ in found] == [number for *_, number in found]


def test_commands_know_a_book_that_a_feed_has_opened(topics: KafkaSettings) -> None:
    """Keys may be in any order, and settings and digest left out: the settings stand before the type here."""
    config = {"agents": FED_AGENTS, "weighing": {"prior": [0.1] * 6}, "interval": 900 * 10**9}
    sent = json.dumps({"config": config, "book": "fed", "type": "BookOpened"}).encode()
    rows = {"seq": [0, 1], "ts": ["1", "2"], "flags": [0, 0], "price": [1, 1], "book": "fed", "type": "Ticks"}
    asyncio.run(put(topics, TICKS, [b"garbage", sent, json.dumps(rows).encode()], "fed"))
    opened = asyncio.run(opening_of(topics, 4, "fed"))
    assert opened is not None
    assert opened.config.stale_after == 9000 * 10**9
    assert opened.digest == digest(opened.config)
    known = asyncio.run(known_books(topics, 4))["fed"]
    assert (known.opened, known.rows, known.closed) == (opened, 2, False)


async def feed(command: list[str], folder: Path, upto: int | None = None) -> list[str]:
    """The lines of a feed that works to its end, or is killed once it has written so many of them."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    while (line := await asyncio.wait_for(process.stdout.readline(), 60)) and len(said) != upto:
        said.append(line.decode().strip())
    assert upto is None or len(said) == upto, (said, (await process.stderr.read()).decode())
    if upto is not None:
        process.kill()
    code = await process.wait()
    assert code == (0 if upto is None else -signal.SIGKILL), (said, (await process.stderr.read()).decode())
    return said


def fed_rows(book: str) -> list[Event]:
    """What a feed is to write, computed here from what its page says, whole."""
    seq = np.arange(FED_ROWS)
    price = [
        round(40_000 * math.exp(0.05 * math.sin(k / 90) + 0.004 * (k * 2654435761 % 2**32 / 2**32 - 0.5)), 2)
        for k in range(FED_ROWS)
    ]
    minute = 60 * 10**9
    config = TradingConfig(
        agents=FED_AGENTS,
        interval=minute,
        stale_after=10 * minute,
        limits=RiskLimits(price_collar=0.5, max_drawdown=0.25),
    )
    ticks = Ticks(
        book=book,
        seq=seq,
        ts=1_704_067_200 * 10**9 + minute * seq,
        flags=np.zeros(FED_ROWS, np.int64),
        price=np.array(price),
    )
    opened = BookOpened(book=book, config=config, digest=digest(config))
    return [opened, ticks, BookClosed(book=book, last=FED_ROWS - 1)]


async def _fed(settings: KafkaSettings, command: list[str], folder: Path, states: Path) -> list[list[str]]:
    """The lines of every run of a feed: killed twice, worked to its end, and started once more."""
    async with inside(settings, states, STAGES) as stages:
        slowly = [*command, "--every", "0.1"]
        said = [await feed(slowly, folder, upto) for upto in (12, 20)]
        said += [await feed(command, folder) for _ in range(2)]
        replay = (sys.executable, "-m", "windvane", "replay", "topic", "--from-book", "fed")
        at = ("--bootstrap", settings.bootstrap, "--prefix", settings.prefix)
        await feed([*replay, *at, "--book", "again", "--lockstep", "--wait"], folder)
        await stages.until("all orders", partial(decided, settings, ("fed", "again"), FED_ROWS))
    return said


@pytest.mark.parametrize("language", ["python", "node"])
def test_a_feed_killed_twice_leaves_the_orders_of_a_backtest(
    language: str, topics: KafkaSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = EXAMPLES if language == "python" else request.getfixturevalue("node_example")
    program = [sys.executable, "feed_aiokafka.py"] if language == "python" else ["node", "feed.mjs"]
    at = ["--bootstrap", topics.bootstrap, "--prefix", topics.prefix, "--rows", str(FED_ROWS)]
    said = asyncio.run(_fed(topics, [*program, *at], folder, tmp_path))
    begun = [int(line.rsplit(" ", 1)[1]) for run in said for line in run if "goes on at row" in line]
    assert len(begun) == 3
    assert begun[0] == 0 < 200 <= begun[1] < begun[2] < FED_ROWS, "it was killed in the middle"
    assert said[3] == ["fed is closed"]
    written = [from_json(raw) for raw in asyncio.run(records(topics, TICKS))]
    rows = join([event for event in written if isinstance(event, Ticks) and event.book == "fed"])
    wanted = fed_rows("fed")
    assert np.array_equal(rows.seq, np.arange(FED_ROWS)), "no row is missing, none is there twice"
    assert not asyncio.run(records(topics, DEAD_LETTERS))
    seen = plain_run(wanted)
    backtest = [raw for _, e in seen if isinstance(e, Orders) for _, raw in order_lines(e, "BTCUSD")]
    assert backtest
    orders = [
        run([sys.executable, "-m", "windvane", "orders", *at[:4], "--book", book, "--json"])
        for book in ("fed", "again")
    ]
    assert orders[0] == [raw.decode() for raw in backtest]
    assert orders[1] == [line.replace('"fed', '"again') for line in orders[0]]
