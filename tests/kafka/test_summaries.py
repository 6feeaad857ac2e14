"""What workers tell of themselves and their books on a real broker, and what status makes of it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from cli_harness import refusal, windvane
from running import STAGES, inside

from simulated_book import config, opening, ticks
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.tools.controls import new_control, send_control
from windvane.infra.status.status import Status, watching
from windvane.infra.status.troubles import Limits
from windvane.streams.codec import to_json
from windvane.streams.events import cut
from windvane.streams.topics import TICKS

AGENTS = ("vol_trend", "buy_and_hold")
PLACE = partition_of("quiet", 4)
MANY = [name for k in range(999) if partition_of(name := f"b{k}", 4) == PLACE][:49]
FEW = (STAGES[0], "proposals:vol_trend,buy_and_hold", *STAGES[2:])
CALM = Limits(silence=1e6)


async def rows(settings: KafkaSettings, books: Sequence[str], start: int, stop: int, each: int = 99) -> None:
    """Rows of books, so many a record, behind their openings where they are the first."""
    producer = new_producer(settings)
    await producer.start()
    try:
        for begin in range(start, stop, each):
            for book in books:
                raws = [to_json(opening(config(agents=AGENTS), book))] if begin == 0 else []
                raws.append(to_json(cut(ticks(200, book=book), begin, min(stop, begin + each))))
                for raw in raws:
                    await producer.send(
                        settings.topic(TICKS), raw, key=book.encode(), partition=partition_of(book, 4)
                    )
        await producer.flush()
    finally:
        await producer.stop()


async def until(running: Any, settings: KafkaSettings, there: Callable[[Status], bool]) -> Status:
    """The first status of which something is so."""
    found: list[Status] = []
    async with watching(settings) as watcher:

        async def look() -> bool:
            found[:] = [await watcher.status(CALM)]
            return there(found[0])

        await running.until("such a status", look, seconds=90, every=0.3)
    return found[0]


def decided(status: Status, books: list[str], upto: int) -> bool:
    return all((book := status.books.get(name)) is not None and book.rows == upto for name in books)


def page(settings: KafkaSettings, *words: object) -> tuple[int, dict[str, Any]]:
    ran = windvane("status", "--bootstrap", settings.bootstrap, "--prefix", settings.prefix, "--json", *words)
    assert ran.err == ""
    return ran.code, json.loads(ran.out)


def test_a_halted_silent_book_among_fifty_is_there_before_and_after_a_restart(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others get rows enough to push it out of every tail; then all workers begin anew, and no row comes."""

    async def first() -> None:
        async with inside(topics, tmp_path, FEW) as running:
            await rows(topics, ["quiet"], 0, 20)
            await until(running, topics, lambda s: decided(s, ["quiet"], 20))
            await send_control(topics, new_control("quiet", "halt"))
            await rows(topics, ["quiet"], 20, 21)
            halted = await until(running, topics, lambda s: s.books["quiet"].state == "halted")
            control = halted.books["quiet"].last_control
            assert control is not None
            assert (control.number, control.action, control.row) == (1, "halt", 20)
            await rows(topics, MANY, 0, 40, each=10)
            status = await until(running, topics, lambda s: decided(s, MANY, 40))
            seen(status, 21)
            assert {worker.stage for worker in status.workers} == {
                "features",
                "proposals",
                "feedback",
                "ensemble",
            }
            assert not any(worker.silent for worker in status.workers)

    async def again() -> Status:
        async with inside(topics, tmp_path, FEW) as running:
            status = await until(
                running,
                topics,
                lambda s: len(s.workers) == 4 and all(w.phase == "working" for w in s.workers),
            )
            ensemble = running.metrics["ensemble"]
            assert value(ensemble, "windvane_risk_state", "quiet") == 2
            silent = value(running.metrics["features"], "windvane_last_output_seconds", "quiet")
            assert silent is not None
            assert silent <= status.time - (status.books["quiet"].row_age or 0) + 1.5
        return status

    def seen(status: Status, rows: int) -> None:
        assert len(status.books) == 50
        quiet = status.books["quiet"]
        assert (quiet.state, quiet.rows, quiet.behind, quiet.model) == ("halted", rows, 0, "own")
        assert quiet.row_age is not None
        assert any("book quiet is halted" in sentence for sentence in status.troubles)

    asyncio.run(first())
    stopped = asyncio.run(_status(topics))
    seen(stopped, 21)
    assert stopped.workers == []
    status = asyncio.run(again())
    seen(status, 21)
    assert status.books["quiet"].row_age > 1  # type: ignore[operator]
    code, told = page(topics)
    assert code == 1
    assert told["books"]["quiet"]["last_control"] == {"number": 1, "action": "halt", "row": 20}
    shown = windvane("status", "--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    assert "50 books: 49 active, 1 halted" in shown.out
    assert "and 30 more: --all shows every one" in shown.out
    assert "! quiet" in shown.out
    where = ("--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    every = windvane("status", *where, "--all").out
    assert all(name in every for name in (*MANY, "quiet"))
    assert "more: --all" not in every
    assert "1 halt at row 20" in windvane("status", *where, "--book", "quiet").out
    assert "weights       " in windvane("status", *where, "--book", MANY[-1]).out
    said = refusal(
        windvane("status", "--bootstrap", topics.bootstrap, "--prefix", topics.prefix, "--book", "nobody")
    )
    assert said.startswith("no worker has told of a book nobody: there are b")


def value(metrics: Any, name: str, book: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"stage": metrics.stage, "book": book})


async def _status(settings: KafkaSettings) -> Status:
    async with watching(settings) as watcher:
        return await watcher.status(CALM)


def test_workers_work_on_a_broker_without_the_topic_and_say_once_what_to_run(
    settings: KafkaSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def run() -> Status:
        await layout.create(settings, 4)
        admin = AIOKafkaAdminClient(**settings.client())
        await admin.start()
        await admin.delete_topics([settings.topic(layout.SUMMARIES)])
        await admin.close()
        while await layout.has_summaries(settings):
            await asyncio.sleep(0.1)
        assert await layout.check(settings) == 4
        async with inside(settings, tmp_path, FEW) as running:
            await rows(settings, ["quiet"], 0, 20)
            features = running.metrics["features"]

            async def decided() -> bool:
                return value(running.metrics["ensemble"], "windvane_last_seq", "quiet") == 19

            await running.until("decisions", decided)

            async def well() -> bool:
                return features.health.report()[0]

            await running.until("health", well)
            return await _status(settings)

    status = asyncio.run(run())
    mend = (
        f"windvane topics create --bootstrap {settings.bootstrap} --prefix {settings.prefix} --partitions 4"
    )
    assert any(mend in sentence and "summaries is missing" in sentence for sentence in status.troubles)
    told = [line for line in capfd.readouterr().err.splitlines() if "status is not told" in line]
    assert len(told) == 4  # a stage each
    assert all(mend in line for line in told)


def test_a_group_that_is_no_more_counts_for_nothing(topics: KafkaSettings, tmp_path: Path) -> None:
    """A worker of other agents than today's has read some records and was stopped."""

    async def run() -> Status:
        old = (STAGES[0], "proposals:vol_trend")
        async with inside(topics, tmp_path, old) as running:
            await rows(topics, ["quiet"], 0, 20)
            await until(running, topics, lambda s: s.books.get("quiet") is not None)
            alone = await until(running, topics, lambda s: any("nobody runs" in t for t in s.troubles))
            assert any("start `windvane worker proposals:buy_and_hold`" in t for t in alone.troubles)
        async with inside(topics, tmp_path, FEW) as running:
            await rows(topics, ["quiet"], 20, 40)
            return await until(
                running,
                topics,
                lambda s: (
                    decided(s, ["quiet"], 40)
                    and len(s.groups) == 4
                    and not any("proposals" in sentence for sentence in s.troubles)
                ),
            )

    status = asyncio.run(run())
    assert len([group for group in status.groups if group.stage == "proposals"]) == 1
    assert all(group.lag >= 0 for group in status.groups)
    assert status.books["quiet"].proposals == 40
    assert msgspec.to_builtins(status)["books"]["quiet"]["behind"] == 0
