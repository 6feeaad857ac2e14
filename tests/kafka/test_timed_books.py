"""Books whose rounds close by the clock, on a broker: who is late is not waited for, and the log says so."""

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from cli_harness import windvane
from running import PARTITIONS, Inside, inside, put, records

from simulated_book import config, opening, ticks
from windvane.agents.factory import RULES
from windvane.infra.kafka.broker.clients import ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.worker import partition, troubles
from windvane.infra.runs.warmup import warm_up
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.names import GAUGE, METRICS
from windvane.metamodel.base.config import SECOND, TradingConfig
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import BookClosed, Decisions, Proposals, Statements, cut, join
from windvane.streams.topics import DECISIONS, PROPOSALS, STATEMENTS, TICKS, Topic

LATE = "jump_contrarian"
OTHERS = tuple(name for name in RULES if name != LATE)
FIRST, ALONE, ROWS = 560, 680, 760
TIMEOUT = 0.8
BOOK = config(closing="timed", round_timeout=int(TIMEOUT * SECOND), quorum_lag=16_384)
SILENT = config(closing="timed", round_timeout=3600 * SECOND, quorum_lag=100, agents=(LATE,))


STILL = {
    "windvane_waiting_seconds": "nobody waits for 10 s; the next test",
    "windvane_agent_benched_total": "all answers can be used; tests/kafka/test_remote_agents.py",
    "windvane_trouble": "nothing is wrong; tests/kafka/test_troubles.py",
    "windvane_order_latency_seconds": "the ticks are history; tests/infra/telemetry/test_monitoring.py",
    "windvane_flagged_rows_total": "all rows are good; tests/infra/telemetry/test_monitoring.py",
}
"""Metrics that do not move in this run: why, and where they are seen to."""


def moves(told: WorkerMetrics, name: str) -> bool:
    """Whether a metric has a value; of a counter or a histogram one above 0."""
    families = (f for f in told.registry.collect() if f.name == name.removesuffix("_total"))
    return any(s.value or METRICS[name].kind == GAUGE for f in families for s in f.samples)


async def send(settings: KafkaSettings, book: str, start: int, stop: int) -> None:
    rows = ticks(ROWS, book=book)
    await put(
        settings, TICKS, [to_json(cut(rows, at, min(at + 20, stop))) for at in range(start, stop, 20)], book
    )


async def opened(settings: KafkaSettings, book: str, told: TradingConfig) -> None:
    await put(settings, TICKS, [to_json(opening(told, book))], book)


async def decided(settings: KafkaSettings, book: str) -> Decisions | None:
    found = [from_json(raw) for raw in await records(settings, DECISIONS, partition_of(book, PARTITIONS))]
    rows = [event for event in found if isinstance(event, Decisions) and event.book == book]
    return join(rows) if rows else None


async def until(stages: Inside, settings: KafkaSettings, book: str, stop: int) -> Decisions:
    async def there() -> bool:
        rows = await decided(settings, book)
        return rows is not None and rows.last == stop - 1

    await stages.until(f"row {stop - 1} of {book}", there)
    rows = await decided(settings, book)
    assert rows is not None
    return rows


async def answered(settings: KafkaSettings, book: str, stop: int, agents: tuple[str, ...] = (LATE,)) -> bool:
    """Whether a worker of these agents has answered all rows below `stop`."""
    found = [from_json(raw) for raw in await records(settings, PROPOSALS, partition_of(book, PARTITIONS))]
    return any(isinstance(e, Proposals) and e.agents == agents and e.last >= stop - 1 for e in found)


async def emptied(settings: KafkaSettings, topic: Topic, book: str) -> None:
    """The partition of a book as it is once all that lay there is older than is kept."""
    await put(settings, topic, [b"old"], book)
    place = TopicPartition(settings.topic(topic), partition_of(book, PARTITIONS))
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(before_offset=1)})
    finally:
        await admin.close()
    async with reading(settings) as reader:
        assert await ends_of(reader, [place]) == ({place: 1}, {place: 1})


async def fenced(settings: KafkaSettings, book: str) -> None:
    """Another worker takes the ensemble's partition over, and leaves at once."""
    usurper = new_producer(settings, f"{settings.prefix}.ensemble.{partition_of(book, PARTITIONS)}")
    await usurper.start()
    await usurper.stop()


async def closed(stages: Inside, settings: KafkaSettings, book: str) -> None:
    await put(settings, TICKS, [to_json(BookClosed(book=book, last=ROWS - 1))], book)

    async def there() -> bool:
        found = await records(settings, STATEMENTS, partition_of(book, PARTITIONS))
        last = from_json(found[-1]) if found else None
        return isinstance(last, Statements) and last.last == ROWS - 1

    await stages.until("the last statement", there)


def awake(rows: Decisions, agent: str, within: slice) -> np.ndarray:
    assert rows.awake is not None
    return rows.awake[within, rows.agents.index(agent)]


def test_an_agent_that_is_late_sleeps_after_the_timeout_and_the_replay_of_the_log_agrees(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "_FENCED_SECONDS", 0.2)
    warm_up()  # or the first rows wait for a compiler, and not for an agent
    stages = ("features", f"proposals:{','.join(OTHERS)}", "feedback", "ensemble")
    late = (f"proposals:{LATE}",)

    moved: set[str] = set()

    async def run() -> Decisions:
        await opened(topics, "timed", BOOK)
        await put(topics, TICKS, [b"no event"], "timed")
        async with inside(topics, tmp_path / "states", stages) as running:
            async with inside(topics, tmp_path / "states", late):
                await send(topics, "timed", 0, FIRST)
                await until(running, topics, "timed", FIRST)
            began = time.monotonic()
            await send(topics, "timed", FIRST, ALONE)
            await until(running, topics, "timed", ALONE)
            assert time.monotonic() - began >= TIMEOUT, "it was not waited for"
            async with inside(topics, tmp_path / "states", late):
                await send(topics, "timed", ALONE, ROWS - 20)
                await running.until("its answers", lambda: answered(topics, "timed", ROWS - 20))
                await send(topics, "timed", ROWS - 20, ROWS)  # for these it is waited again
                await until(running, topics, "timed", ROWS)
                assert running.restarts() == 0
                await fenced(topics, "timed")
                await closed(running, topics, "timed")
            moved.update(name for told in running.metrics.values() for name in METRICS if moves(told, name))
        rows = await decided(topics, "timed")
        assert rows is not None
        return rows

    rows = asyncio.run(run())
    assert rows.seq.tolist() == list(range(ROWS))
    asleep = slice(FIRST, ALONE)
    assert not awake(rows, LATE, asleep).any()
    assert (rows.weights[asleep, rows.agents.index(LATE)] == 0).all()
    assert awake(rows, LATE, slice(FIRST)).mean() > 0.5, "before it stopped, it was waited for"
    assert awake(rows, LATE, slice(ROWS - 20, ROWS)).all(), "and it is again"
    assert all(awake(rows, agent, asleep).mean() > 0.5 for agent in OTHERS)
    assert set(METRICS) - moved == set(STILL)
    where = ("--bootstrap", topics.bootstrap, "--prefix", topics.prefix, "--book", "timed")
    audit = windvane("replay", *where, "--as-recorded", "--out", tmp_path / "audit")
    assert (audit.code, f"replayed {ROWS:,} rows" in audit.err) == (0, True), audit


def test_a_book_whose_agents_are_gone_is_decided_once_it_is_far_enough_behind(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the last proposals of its partition have been deleted since, and will never be read."""
    monkeypatch.setattr(troubles, "LONG_SECONDS", 0.1)

    async def run() -> Decisions:
        await emptied(topics, PROPOSALS, "silent")
        await opened(topics, "silent", SILENT)
        async with inside(topics, tmp_path, ("features", "ensemble")) as running:
            await send(topics, "silent", 0, 60)

            async def told() -> bool:
                return moves(running.metrics["ensemble"], "windvane_waiting_seconds")

            await running.until("a word of the wait", told)
            assert await decided(topics, "silent") is None
            await send(topics, "silent", 60, 120)
            return await until(running, topics, "silent", 120)

    assert not awake(asyncio.run(run()), LATE, slice(None)).any()


def test_what_was_answered_while_the_ensemble_was_away_puts_nobody_to_sleep(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the timeout: a round is closed only once the proposals that are there have been read."""
    monkeypatch.setattr(partition, "_MOST_RECORDS", 1)  # so that features are there before their answers
    warm_up()
    hasty = config(closing="timed", round_timeout=1, quorum_lag=1)

    async def run() -> Decisions:
        await opened(topics, "hasty", hasty)
        await send(topics, "hasty", 0, 400)
        async with inside(topics, tmp_path, ("features", f"proposals:{','.join(RULES)}")) as running:
            await running.until("all answers", lambda: answered(topics, "hasty", 400, tuple(RULES)))
        async with inside(topics, tmp_path, ("ensemble",)) as running:
            return await until(running, topics, "hasty", 400)

    rows = asyncio.run(run())
    assert rows.awake is not None
    assert rows.awake.all()
    words = (
        "journal",
        "--bootstrap",
        topics.bootstrap,
        "--prefix",
        topics.prefix,
        "--out",
        tmp_path / "files",
    )
    assert windvane(*words, "--book", "hasty").code == 0
    assert (tmp_path / "files" / "hasty").is_dir()
    for nothing in (("--book", "other"), ("--from", "2100-01-01"), ("--to", "2000-01-01")):
        assert windvane(*words, *nothing).code == 1, nothing
