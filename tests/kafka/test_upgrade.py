"""Another version takes over on a real broker: from what 0.1.0 had stored, and from what SIGTERM leaves."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from release_books import trained
from releases import close_to, of_pipeline
from running import inside, put, records

from retrained_book import Now
from simulated_book import config, opening, ticks
from windvane.agents.program import Program
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.snapshots import FolderStore
from windvane.infra.kafka.worker.partition import PartitionHost
from windvane.infra.kafka.worker.plan import plan_of
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams import stored
from windvane.streams.codec import to_json
from windvane.streams.events import BookClosed, Decisions, cut
from windvane.streams.published import published
from windvane.streams.stage import StateError
from windvane.streams.topics import DECISIONS, TICKS, TOPICS
from windvane.streams.worker import StageWorker

AGENTS = "proposals:vol_trend,ema_momentum,buy_and_hold,zscore_reversion"
STAGES = ("features", AGENTS, "feedback", "ensemble")
BOOK = "steady"


@pytest.fixture
def single(settings: KafkaSettings) -> KafkaSettings:
    """All topics with one partition, on which every book lies."""
    asyncio.run(layout.create(settings, partitions=1))
    return settings


async def as_left(settings: KafkaSettings, states: Path, chosen: dict[str, bytes]) -> None:
    """The topics of the release, every record at its offset, and its stored states under this test's prefix."""
    release = of_pipeline()
    for topic in TOPICS:
        there = {record.offset: record.raw for record in release.records[topic.name]}
        raws = [
            there.get(offset, b"gone") for offset in range(release.ends[topic.name])
        ]  # markers, and what expired
        await put(settings, topic, raws, BOOK, partition=0)
    store = FolderStore(states, settings.prefix)
    for spec in STAGES:
        plan = plan_of(spec, settings, 1, states)
        old = stored.from_bytes(chosen[plan.stage.name])
        await store.save(plan.name, 0, [old._replace(layout=plan.layout).to_bytes()])


def test_it_goes_on_with_what_0_1_0_left(single: KafkaSettings, tmp_path: Path) -> None:
    release = of_pipeline()
    coming = [event for _, event in release.coming if event.book == BOOK]
    last = next(event.last for event in coming if isinstance(event, BookClosed))

    async def run() -> list[bytes]:
        await as_left(single, tmp_path, release.states)
        before = await end_of(single, "orders")
        async with inside(
            single, tmp_path, STAGES, trainer=lambda r: Now(trained(r)), partitions=1
        ) as running:
            await put(single, TICKS, [to_json(event) for event in coming], BOOK, partition=0)
            await running.until("last decision", lambda: decided(single, last))
            assert running.restarts() == 0
        return (await records(single, "orders", 0))[before:]

    got = [raw for raw in asyncio.run(run()) if b'"steady"' in raw]
    close_to(got, [raw for raw in release.wanted["orders"] if b'"steady"' in raw], "orders")


@pytest.mark.parametrize("spec", STAGES, ids=("features", "proposals", "feedback", "ensemble"))
def test_it_refuses_where_0_1_0_was_killed(spec: str, single: KafkaSettings, tmp_path: Path) -> None:
    async def run() -> None:
        await as_left(single, tmp_path, of_pipeline().earlier)
        host = PartitionHost(plan_of(spec, single, 1, tmp_path), 0, WorkerMetrics(spec.partition(":")[0]))
        await asyncio.wait_for(host.start(), 60)

    with pytest.raises(
        StateError,
        match=r"^windvane 0\.1\.0 \(code \w+\) was not stopped cleanly, .* of book (steady|clock) ",
    ):
        asyncio.run(run())


def test_a_stop_in_the_midst_of_work_is_clean(single: KafkaSettings, tmp_path: Path) -> None:
    """Stopped as SIGTERM stops them while rows come in: what each had published, its stored state knows."""
    rows, agents = ticks(8000), tuple(AGENTS.partition(":")[2].split(","))
    pieces = [to_json(cut(rows, at, at + 20)) for at in range(0, len(rows), 20)]

    async def feed(stopping: asyncio.Event, over: asyncio.Event) -> int:
        await put(single, TICKS, [to_json(opening(config(agents=agents)))], "book", partition=0)
        await put(single, TICKS, pieces[:50], "book", partition=0)
        await stopping.wait()
        sent = 50
        while sent < len(pieces) and not over.is_set():
            await put(single, TICKS, pieces[sent : sent + 5], "book", partition=0)
            sent += 5
        return sent

    async def run() -> dict[str, int]:
        async with inside(single, tmp_path, STAGES, save_seconds=600.0, partitions=1) as running:
            stopping, over = asyncio.Event(), asyncio.Event()
            feeding = asyncio.create_task(feed(stopping, over))
            await running.until("some decisions", lambda: decided(single, 600))
            stopping.set()
        over.set()
        assert await feeding > 50, "no row came in during the stop"
        known: dict[str, int] = {}
        for spec in STAGES:
            plan = plan_of(spec, single, 1, tmp_path)._replace(program=Program("9.0.0", "another"))
            saved = await plan.store.load(plan.name, 0)
            worker = StageWorker(plan.stage, plan.layout, saved, program=plan.program)
            for topic in plan.stage.emits:
                for raw in await records(single, topic, 0):
                    worker.refuse_unclean(topic, raw)
            known[plan.stage.name] = worker.logic.progress("book").next_seq
        return known

    assert min(asyncio.run(run()).values()) > 600


async def decided(settings: KafkaSettings, row: int) -> bool:
    events: list[Any] = [published(DECISIONS, raw) for raw in await records(settings, DECISIONS, 0)]
    return any(isinstance(e, Decisions) and e.book in (BOOK, "book") and e.last >= row for e in events)


async def end_of(settings: KafkaSettings, topic: str) -> int:
    """Records of a topic."""
    place = TopicPartition(f"{settings.prefix}.{topic}", 0)
    async with reading(settings) as reader:
        return (await ends_of(reader, [place]))[1][place]
