"""Whatever lies on the topics: no stage stops, no good row is lost, and each bad thing is a letter that says why."""

import asyncio
import subprocess
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from bad_records import BAD, BOOK, HERE, Bad
from running import PARTITIONS, STAGES, inside, put, records

from simulated_book import config, controls, opening, plain_run, ticks
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.signing import sign
from windvane.streams import topics
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import (
    BookClosed,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Fills,
    Orders,
    Ticks,
    cut,
)
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.topics import (
    CONTROL,
    DECISIONS,
    FEATURES,
    FILLS,
    ORDERS,
    TICKS,
)

ROWS = 1300


@dataclass(frozen=True)
class Ran:
    """What was on the topics in the end."""

    letters: tuple[DeadLetter, ...]
    orders: list[bytes]
    fills: list[bytes]
    decisions: list[Decisions]
    restarts: float


def _jumping(rows: Ticks) -> Ticks:
    """Times that jump: back by a second, back by an hour, ahead by a year for one row and by a day for good."""
    rows.ts[400] = rows.ts[399] - 10**9
    rows.ts[500] -= 3600 * 10**9
    rows.ts[600] += 365 * 86_400 * 10**9
    rows.ts[900:] += 86_400 * 10**9
    return rows


def _good() -> tuple[list[Event], list[Control]]:
    return [
        opening(config(), BOOK),
        _jumping(ticks(ROWS, book=BOOK)),
        BookClosed(book=BOOK, last=ROWS - 1),
    ], controls(BOOK)


def _shuffled(rows: Ticks) -> list[bytes]:
    """The rows in small records, some twice, each at most a few dozen places from where it belongs."""
    rng = np.random.default_rng(5)
    raws = [to_json(cut(rows, at, at + 10)) for at in range(0, ROWS, 10)]
    order = np.argsort(np.arange(len(raws)) + rng.uniform(0, 25, len(raws)))
    return [raw for at in order for raw in [raws[at]] * (1 + int(rng.random() < 0.2))]


async def _run(settings: KafkaSettings, states: Path) -> Ran:
    """The good book in two halves, all that is bad around each, and every worker stopped and started between them."""
    (start, rows, end), orders = _good()
    assert isinstance(rows, Ticks)
    key = (settings.control_key or "").encode()
    signed = [to_json(sign(order, key, settings.prefix)) for order in orders]
    raws, wanted = _shuffled(rows), {bad.reason for bad in BAD if bad.reason}

    async def bad() -> None:
        for one in BAD:
            await put(settings, one.topic, [one.raw] * one.times, BOOK, key=one.key)

    async def decided(upto: int) -> bool:
        found = [from_json(raw) for raw in await records(settings, DECISIONS, HERE) if raw[:1] == b"{"]
        return any(isinstance(e, Decisions) and e.book == BOOK and e.last >= upto for e in found)

    async def told() -> bool:
        found = [from_json(raw) for raw in await records(settings, topics.DEAD_LETTERS, HERE)]
        return all(any(r in e.reason for e in found if isinstance(e, DeadLetter)) for r in wanted)

    await put(settings, CONTROL, [*signed, *signed], BOOK)  # each twice: replayed
    async with inside(settings, states) as first:
        await put(settings, TICKS, [to_json(start)], BOOK)
        await bad()
        await put(settings, TICKS, raws[: len(raws) // 2], BOOK)
        await first.until("first half", lambda: decided(ROWS // 3), every=0.5)
        await bad()
    async with inside(settings, states) as second:
        await put(settings, TICKS, raws[len(raws) // 2 :], BOOK)
        await put(settings, TICKS, [to_json(start), to_json(end)], BOOK)
        await second.until("last row", lambda: decided(ROWS - 1), every=0.5)
        await second.until("dead letters", told, every=0.5)
        restarts = first.restarts() + second.restarts()
    letters = [from_json(raw) for raw in await records(settings, topics.DEAD_LETTERS)]
    found = [from_json(raw) for raw in await records(settings, DECISIONS, HERE) if raw[:1] == b"{"]
    mine = f'"id":"{BOOK}.'.encode()
    return Ran(
        tuple(e for e in letters if isinstance(e, DeadLetter)),
        [raw for raw in await records(settings, ORDERS, HERE) if mine in raw],
        [raw for raw in await records(settings, FILLS, HERE) if mine in raw],
        [e for e in found if isinstance(e, Decisions) and e.book == BOOK],
        restarts,
    )


@pytest.fixture(scope="module")
def ran(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    settings = KafkaSettings(
        bootstrap=kafka, prefix=f"test-{uuid4().hex[:12]}", control_key="the key of the tests, no secret"
    )
    asyncio.run(layout.create(settings, partitions=PARTITIONS))
    return asyncio.run(_run(settings, tmp_path_factory.mktemp("states")))


def test_the_orders_and_fills_are_those_of_a_backtest_of_the_good_rows(ran: Ran) -> None:
    seen = plain_run(*_good())
    symbol = config().symbol
    orders = [line for _, e in seen if isinstance(e, Orders) for _, line in order_lines(e, symbol)]
    fills = [line for _, e in seen if isinstance(e, Fills) for _, line in fill_lines(e, symbol)]
    assert len(orders) > 20
    assert ran.orders == orders
    assert ran.fills == fills


def test_every_good_row_is_decided_once(ran: Ran) -> None:
    assert np.array_equal(np.concatenate([e.seq for e in ran.decisions]), np.arange(ROWS))


def test_replayed_controls_are_applied_once_and_forged_ones_never(ran: Ran) -> None:
    applied = np.concatenate([e.controls for e in ran.decisions])
    wanted = np.concatenate([e.controls for _, e in plain_run(*_good()) if isinstance(e, Decisions)])
    assert np.array_equal(applied, wanted)
    assert applied[-1] == len(controls())


def test_no_partition_was_started_again(ran: Ran) -> None:
    assert ran.restarts == 0


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.reason], ids=lambda bad: bad.what)
def test_it_is_in_the_dead_letters_with_the_reason(ran: Ran, bad: Bad) -> None:
    mine = [e for e in ran.letters if bad.reason in e.reason]
    assert len(mine) >= bad.times
    assert all(len(e.payload) <= 1000 and len(e.reason) <= 1000 and len(e.book) <= 200 for e in mine)
    assert all(e.source for e in mine)


@pytest.mark.parametrize("codec", ["lz4", pytest.param("zstd", marks=pytest.mark.slow)])
def test_records_that_another_program_compressed_are_read_like_any(
    codec: str, topics: KafkaSettings, tmp_path: Path, kafka_home: Path
) -> None:
    """No library for it is needed: the broker writes them anew."""
    raws = [to_json(opening(config(), BOOK)), *small(ticks(40, book=BOOK))]
    words = [kafka_home / "bin" / "kafka-console-producer.sh", "--bootstrap-server", topics.bootstrap]
    words += ["--topic", topics.topic(TICKS), "--compression-codec", codec]
    words += ["--property", "parse.key=true", "--property", "key.separator=|"]
    lines = b"".join(f"{BOOK}|".encode() + raw + b"\n" for raw in raws)
    subprocess.run(words, input=lines, check=True, capture_output=True, timeout=60)

    async def run() -> float:
        async with inside(topics, tmp_path, STAGES[:1]) as features:
            await features.until("features", there, every=0.3)
            return features.restarts()

    async def there() -> bool:
        found = [from_json(raw) for raw in await records(topics, FEATURES, HERE)]
        return any(isinstance(e, Features) and e.last == 39 for e in found)

    assert asyncio.run(run()) == 0


def small(rows: Ticks) -> list[bytes]:
    return [to_json(cut(rows, at, at + 10)) for at in range(0, len(rows), 10)]
