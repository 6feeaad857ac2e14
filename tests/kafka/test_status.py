"""windvane status on a real broker: what it says is what lies on the topics, and its exit code can be relied on."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from cli_harness import refusal, windvane

from simulated_book import Recorded, config, opening, plain_run, ticks
from windvane.agents.program import Program
from windvane.infra.kafka.broker.clients import new_producer, reading
from windvane.infra.kafka.broker.groups import client_id
from windvane.infra.kafka.broker.layout import SUMMARIES
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.summaries import in_parts, key_of_part
from windvane.infra.kafka.broker.tails import FIRST_WINDOW, read_tails, spans
from windvane.infra.status.status import watching
from windvane.infra.status.troubles import Limits
from windvane.streams import topics as names
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import (
    DeadLetter,
    Event,
    Fills,
    Orders,
)
from windvane.streams.records import order_lines
from windvane.streams.summaries import BookSummary, Opening
from windvane.streams.topics import Topic

ROWS, PARTITIONS = 600, 4
IN_TRANSACTIONS = {names.DECISIONS, names.ORDERS, names.STATEMENTS}


@pytest.fixture(scope="module")
def run() -> Recorded:
    """An open book."""
    return plain_run([opening(config()), ticks(ROWS)])


def lines(topic: Topic, event: Event) -> list[bytes]:
    if isinstance(event, Orders):
        return [raw for _, raw in order_lines(event, "BTCUSD")]
    return [] if isinstance(event, Fills) else [to_json(piece) for piece in cuts(event)]


async def publish(settings: KafkaSettings, run: Sequence[tuple[Topic, Event]]) -> None:
    """As workers would: each event of the ensemble a transaction of its own, so that offsets have holes."""
    plain = new_producer(settings)
    steps = new_producer(settings, f"{settings.prefix}.ensemble.0")
    await plain.start()
    await steps.start()
    try:
        for topic, event in run:
            producer = steps if topic in IN_TRANSACTIONS else plain
            if producer is steps:
                await steps.begin_transaction()
            await send(settings, producer, topic, event)
            if producer is steps:
                await steps.commit_transaction()
    finally:
        await plain.stop()
        await steps.stop()


async def send(settings: KafkaSettings, producer: AIOKafkaProducer, topic: Topic, event: Event) -> None:
    place = partition_of(event.book, PARTITIONS)
    for raw in lines(topic, event):
        await producer.send(settings.topic(topic), raw, key=event.book.encode(), partition=place)
    await producer.flush()


def written(settings: KafkaSettings, run: Sequence[tuple[Topic, Event]]) -> None:
    asyncio.run(publish(settings, run))


def status(settings: KafkaSettings, *options: object) -> tuple[int, dict[str, Any]]:
    ran = windvane(
        "status", "--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--json", *options
    )
    assert ran.err == ""
    return ran.code, json.loads(ran.out)


async def tell(settings: KafkaSettings, rows: int, row_age: float = 1.0) -> None:
    """What the workers of features would tell of a book of which nothing is decided."""
    place = partition_of("book", PARTITIONS)
    summary = BookSummary("book", "k", rows, rows, 1)
    raws = in_parts(
        time.time(), [summary], {"k": Opening("d", "BTCUSD", ("vol_trend",), "timed", 1e6)},
        {"book": int(time.time() - row_age)}, {},
    )  # fmt: skip
    producer = new_producer(settings)
    await producer.start()
    try:
        for part, raw in enumerate(raws):
            key = key_of_part("features", part)
            await producer.send_and_wait(settings.topic(SUMMARIES), raw, key=key, partition=place)
    finally:
        await producer.stop()


def test_open_books_without_workers_wake_a_person(topics: KafkaSettings) -> None:
    asyncio.run(tell(topics, ROWS))
    code, page = status(topics, "--behind", ROWS)
    assert code == 1
    assert (page["books"]["book"]["ticks"], page["books"]["book"]["rows"]) == (ROWS, None)
    starts = {"proposals": "proposals:vol_trend"}
    assert page["troubles"] == [
        f"no worker of stage {stage} is running: start `windvane worker {starts.get(stage, stage)}`, or all with "
        "`windvane up`"
        for stage in ("features", "proposals", "feedback", "ensemble")
    ]


def test_rows_that_nobody_decides_are_a_trouble(topics: KafkaSettings) -> None:
    asyncio.run(tell(topics, ROWS))
    code, page = status(topics, "--behind", 100)
    assert code == 1
    assert f"the decisions of book book are {ROWS} rows behind its ticks" in page["troubles"][0]


def test_silence_is_a_trouble_after_so_many_seconds(topics: KafkaSettings) -> None:
    asyncio.run(tell(topics, ROWS, row_age=50))
    assert not any("no row for" in said for said in status(topics, "--silence", 1000)[1]["troubles"])
    _, page = status(topics, "--silence", 40)
    assert any(said.startswith("book book has had no row for 5") for said in page["troubles"])
    assert page["books"]["book"]["troubles"][0]["code"] == "silent"


def test_dead_letters_wake_a_person(topics: KafkaSettings) -> None:
    bad = DeadLetter(
        book="book", source="ticks, partition 0, offset 7", reason="not an event: x", payload="{"
    )
    written(topics, [(names.DEAD_LETTERS, bad)])
    code, page = status(topics)
    assert code == 1
    assert page["troubles"][-1].startswith("1 dead letters in the last hour, the last: not an event: x: mend")
    assert page["dead_letters"] == 1


def test_groups_show_members_and_what_they_have_not_acknowledged(
    topics: KafkaSettings, run: Recorded
) -> None:
    written(topics, run)
    place = TopicPartition(topics.topic(names.TICKS), partition_of("book", PARTITIONS))
    program = Program("0.9.0", "0123456789abcdef")

    async def joined() -> dict[str, Any]:
        workers = [
            AIOKafkaConsumer(
                place.topic,
                **topics.client(),
                client_id=name,
                group_id=f"{topics.prefix}.features",
                enable_auto_commit=False,
            )
            for name in (client_id(program), "somebody")
        ]
        for worker in workers:
            await worker.start()
        try:
            async with asyncio.timeout(60):
                while sorted(len(worker.assignment()) for worker in workers) != [2, 2]:
                    await asyncio.sleep(0.05)
            owner = next(worker for worker in workers if place in worker.assignment())
            await owner.commit({place: 1})
            async with watching(topics) as watcher:
                page: dict[str, Any] = msgspec.to_builtins(await watcher.status(Limits()))
            return page
        finally:
            for worker in workers:
                await worker.stop()

    page = asyncio.run(joined())
    (group,) = page["groups"]
    ends = sum(len(lines(topic, event)) for topic, event in run if topic is names.TICKS)
    assert group == {
        "name": f"{topics.prefix}.features",
        "stage": "features",
        "members": 2,
        "spares": 0,
        "programs": ["0.9.0 (code 0123456789abcdef)"],
        "lag": ends - 1,
    }
    assert not any("stage features" in sentence for sentence in page["troubles"])
    assert any("stage ensemble" in sentence for sentence in page["troubles"])


def test_a_quiet_book_is_found_behind_a_busy_one_and_behind_aborted_records(topics: KafkaSettings) -> None:
    """Both lie on one partition: the tail of it holds the busy one, markers and what was never committed."""
    other = next(n for n in (f"b{k}" for k in range(99)) if partition_of(n, 4) == partition_of("quiet", 4))
    row = ticks(1)

    async def fill() -> None:
        plain, steps = new_producer(topics), new_producer(topics, "someone")
        await plain.start()
        await steps.start()
        try:
            await send(topics, plain, names.TICKS, msgspec.structs.replace(row, book="quiet"))
            for seq in range(3 * FIRST_WINDOW):
                one = msgspec.structs.replace(row, book=other, seq=np.array([seq]))
                await send(topics, plain, names.TICKS, one)
            for _ in range(FIRST_WINDOW):
                await steps.begin_transaction()
                await send(topics, steps, names.TICKS, msgspec.structs.replace(row, book="never"))
                await steps.abort_transaction()
            await send(topics, plain, names.FEATURES, msgspec.structs.replace(row, book="quiet"))
        finally:
            await plain.stop()
            await steps.stop()

    async def read() -> dict[str, dict[str, list[Any]]]:
        async with reading(topics) as reader:
            places = [
                TopicPartition(topics.topic(t), p) for t in (names.TICKS, names.FEATURES) for p in range(4)
            ]
            held = await spans(reader, places)
            return await read_tails(reader, held, [topics.topic(names.TICKS)])

    asyncio.run(fill())
    tails = asyncio.run(read())
    assert set(tails[topics.topic(names.TICKS)]) == {"quiet", other}
    assert json.loads(tails[topics.topic(names.TICKS)][other][-1].raw)["seq"] == [3 * FIRST_WINDOW - 1]


def test_a_person_reads_a_page(topics: KafkaSettings) -> None:
    asyncio.run(tell(topics, ROWS))
    ran = windvane("status", "--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    assert ran.code == 1
    for part in ("book", f"{ROWS:,}", "not decided", "! no worker of stage ensemble is running"):
        assert part in ran.out
    assert max(map(len, ran.out.splitlines())) <= 160


def test_no_book_yet_is_healthy_and_missing_topics_are_one_sentence(topics: KafkaSettings) -> None:
    code, page = status(topics)
    assert (code, page["books"], page["groups"], page["troubles"]) == (0, {}, [], [])
    missing = windvane("status", "--bootstrap", topics.bootstrap, "--prefix", f"{topics.prefix}-x")
    assert f"windvane topics create --bootstrap {topics.bootstrap}" in refusal(missing)


def test_no_broker_is_one_sentence(kafka: str) -> None:
    assert "no broker answers at 127.0.0.1:1" in refusal(windvane("status", "--bootstrap", "127.0.0.1:1"))


@pytest.mark.parametrize(("option", "value"), [("--silence", 0), ("--behind", -1)])
def test_limits_are_checked(option: str, value: int) -> None:
    assert option in refusal(windvane("status", option, value))
