"""What used to stop in silence, on a broker: each says what is wrong, and the rest goes on."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from plain_books import ROWS, backtest, decided, send
from running import PARTITIONS, STAGES, Inside, inside, put, records
from test_timed_books import emptied

from simulated_book import config, opening, ticks
from windvane.agents.factory import RULES
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.snapshots import FolderStore
from windvane.infra.kafka.worker import saver, troubles
from windvane.infra.runs.warmup import warm_up
from windvane.streams import stored
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import GAP, BookClosed, DeadLetter, Features, cut
from windvane.streams.snapshot import load_books, take_out
from windvane.streams.topics import DEAD_LETTERS, FEATURES, ORDERS, TICKS

LIVE = config(closing="timed")
ONE, OTHER = [name for k in range(99) if partition_of(name := f"book{k}", PARTITIONS) == 0][:2]
"""Two books on one partition."""


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubles, "LONG_SECONDS", 0.7)
    monkeypatch.setattr(troubles, "_CALM_SECONDS", 1.0)
    warm_up()


def told(running: Inside, stage: str) -> dict[str, int]:
    """What a stage's metrics say is wrong, by code, on all partitions."""
    found: Counter[str] = Counter()
    for family in running.metrics[stage].registry.collect():
        for sample in family.samples:
            if sample.name == "windvane_trouble":
                found[sample.labels["code"]] += int(sample.value)
    return dict(found)


def telling(running: Inside, stage: str, codes: dict[str, int]) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return told(running, stage) == codes

    return there


async def letters(settings: KafkaSettings) -> list[str]:
    found = [from_json(raw) for raw in await records(settings, DEAD_LETTERS)]
    return [e.reason for e in found if isinstance(e, DeadLetter)]


async def made(settings: KafkaSettings, book: str) -> list[Features]:
    found = [from_json(raw) for raw in await records(settings, FEATURES, partition_of(book, PARTITIONS))]
    return [e for e in found if isinstance(e, Features) and e.book == book]


def upto(settings: KafkaSettings, book: str, seq: int) -> Callable[[], Awaitable[bool]]:
    async def there() -> bool:
        return any(e.last >= seq for e in await made(settings, book))

    return there


def rows(book: str, start: int, stop: int, without: int = -1) -> list[bytes]:
    whole = ticks(ROWS, book=book)
    return [to_json(cut(whole, at, at + 1)) for at in range(start, stop) if at != without]


def test_a_timed_book_goes_on_without_a_row_that_was_lost_and_a_new_worker_without_a_state_agrees(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    async def run() -> None:
        async with inside(topics, tmp_path / "one", STAGES[:1]) as running:
            await put(topics, TICKS, [to_json(opening(LIVE, ONE)), *rows(ONE, 0, 60, without=40)], ONE)
            await running.until("the row after the lost one", upto(topics, ONE, 59))
        before = await made(topics, ONE)
        assert [s for e in before for s in e.seq[e.flags & GAP != 0].tolist()] == [40]
        await put(topics, TICKS, [*rows(ONE, 40, 41), *rows(ONE, 60, 70)], ONE)
        async with inside(topics, tmp_path / "another", STAGES[:1]) as running:
            await running.until("the last row", upto(topics, ONE, 69))
        after = await made(topics, ONE)
        again = np.concatenate([e.x for e in after[len(before) :]])
        assert np.array_equal(again[:60], np.concatenate([e.x for e in before]))
        (reason,) = set(await letters(topics))
        assert "seq 40 of book " in reason
        assert "came after missing rows had been given up" in reason

    asyncio.run(run())


def test_a_lockstep_book_waits_for_a_lost_row_and_says_so_however_seldom_states_are_stored(
    topics: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saver, "_BYTES_A_SECOND", 1)
    monkeypatch.setattr(saver, "_LONGEST_PAUSE", 600.0)

    async def run() -> None:
        async with inside(topics, tmp_path, STAGES[:1]) as running:
            await put(topics, TICKS, [to_json(opening(config(), ONE)), *rows(ONE, 0, 60, without=40)], ONE)
            await running.until("a trouble", telling(running, "features", {"hole": 1}))
            await put(topics, TICKS, rows(ONE, 40, 41), ONE)
            await running.until("the end of it", telling(running, "features", {}))
        assert sum(len(e) for e in await made(topics, ONE)) == 60

    asyncio.run(run())


def test_a_feed_that_begins_anew_and_a_name_that_is_used_again_are_told_of_once(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    def later(book: str) -> list[bytes]:
        whole = ticks(30, book=book)
        moved = msgspec.structs.replace(whole, ts=whole.ts + 10**14)
        return [to_json(cut(moved, at, at + 1)) for at in range(30)]

    async def run() -> None:
        async with inside(topics, tmp_path, STAGES[:1]) as running:
            start = [to_json(opening(LIVE, ONE)), *rows(ONE, 0, 60)]
            over = [
                to_json(opening(LIVE, OTHER)),
                *rows(OTHER, 0, 60),
                to_json(BookClosed(book=OTHER, last=59)),
            ]
            await put(topics, TICKS, [*start, *start], ONE)
            await put(topics, TICKS, [*over, *over], OTHER)
            await running.until("rows", upto(topics, OTHER, 59))
            assert (await letters(topics), told(running, "features")) == ([], {})
            await put(topics, TICKS, [*start[:1], *later(ONE)], ONE)
            await put(topics, TICKS, [*over[:1], *later(OTHER)], OTHER)
            both = {"feed_restarted": 1, "name_used_again": 1}
            await running.until("troubles", telling(running, "features", both))
            await put(topics, TICKS, rows(ONE, 60, 70), ONE)
            await running.until("rows that follow", upto(topics, ONE, 69))
            await running.until("no trouble", telling(running, "features", {}))
        found = sorted(await letters(topics))
        assert len(found) == 2
        assert "is closed, and rows come that are none of it" in found[0]
        assert "came again with another time or price, and the book is at seq 60" in found[1]

    asyncio.run(run())


async def rewritten(settings: KafkaSettings, states: Path, book: str) -> bytes:
    """Store the ensemble's state without a field of a book; returns what was stored."""
    store = FolderStore(states, settings.prefix)
    whole = await store.load("ensemble", 0)
    assert whole is not None
    state = stored.from_bytes(whole)
    books = load_books(state.state)
    for opened, saved in books.open:
        if opened["book"] == book:
            del saved["taken"]
    raw = books.to_bytes(*(opened["book"] for opened, _ in books.open))
    await store.save("ensemble", 0, [state._replace(state=raw).to_bytes()])
    return whole


async def mended(settings: KafkaSettings, states: Path, book: str, whole: bytes) -> None:
    """Put the state of a book back, as an older or newer release that can read it would have."""
    store = FolderStore(states, settings.prefix)
    now = await store.load("ensemble", 0)
    assert now is not None
    state = stored.from_bytes(now)
    good = take_out(stored.from_bytes(whole).state, book)[1]
    stopped = {book: state.stopped[book]._replace(state=good)}
    await store.save("ensemble", 0, [state._replace(stopped=stopped).to_bytes()])


def test_a_book_whose_state_cannot_be_read_stops_alone_and_goes_on_when_it_can(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    async def run() -> None:
        async with inside(topics, tmp_path):
            await send(topics, [ONE, OTHER], 0, 300)
            async with inside(topics, tmp_path, ()) as stages:
                await stages.until("first rows", lambda: decided(topics, [ONE, OTHER], 300), every=0.5)
        whole = await rewritten(topics, tmp_path, ONE)
        async with inside(topics, tmp_path) as stages:
            await send(topics, [ONE, OTHER], 300, 500)
            await stages.until("the other book", lambda: decided(topics, [OTHER], 500), every=0.5)
            await stages.until("a trouble", telling(stages, "ensemble", {"stopped": 1}))
            assert not await decided(topics, [ONE], 301)
        await mended(topics, tmp_path, ONE, whole)
        async with inside(topics, tmp_path) as stages:
            await send(topics, [ONE, OTHER], 500, ROWS)
            await stages.until("both", lambda: decided(topics, [ONE, OTHER], ROWS), every=0.5)
            assert told(stages, "ensemble") == {}
        found = await records(topics, ORDERS, 0)
        for book in (ONE, OTHER):
            assert [raw for raw in found if f'"book":"{book}"'.encode() in raw] == backtest(book)

    asyncio.run(run())


def test_a_book_whose_log_contradicts_stops_alone(topics: KafkaSettings, tmp_path: Path) -> None:
    """An order that nobody of ours has written, and a state that is lost: what was published cannot be met again."""

    async def run() -> None:
        async with inside(topics, tmp_path / "one") as stages:
            await send(topics, [ONE, OTHER], 0, 600)
            await stages.until("first rows", lambda: decided(topics, [ONE, OTHER], 600), every=0.5)
        first = next(raw for raw in await records(topics, ORDERS, 0) if f'"{ONE}"'.encode() in raw)
        await put(topics, ORDERS, [first.replace(b'"qty":', b'"qty":1')], ONE)
        async with inside(topics, tmp_path / "two") as stages:
            await send(topics, [ONE, OTHER], 600, ROWS)
            await stages.until("the other book", lambda: decided(topics, [OTHER], ROWS), every=0.5)
            await stages.until("a trouble", telling(stages, "ensemble", {"stopped": 1}))
            assert not await decided(topics, [ONE], 601)
            assert stages.restarts() == 1
        found = await records(topics, ORDERS, 0)
        assert [raw for raw in found if f'"book":"{OTHER}"'.encode() in raw] == backtest(OTHER)

    asyncio.run(run())


@pytest.mark.parametrize("closing", ["lockstep", "timed"])
def test_a_book_whose_agents_nobody_runs_says_which(
    closing: str, topics: KafkaSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    some = list(RULES)[:4]
    stages = ("features", f"proposals:{','.join(some)}", "feedback", "ensemble")

    async def run() -> None:
        async with inside(topics, tmp_path, stages) as running:
            await put(topics, TICKS, [to_json(opening(config(closing=closing), ONE)), *rows(ONE, 0, 60)], ONE)
            await running.until("a trouble", telling(running, "ensemble", {"no_proposals": 1}), 20)

    asyncio.run(run())
    rest = [name for name in RULES if name not in some]
    said = capfd.readouterr().err
    assert f"no worker proposes for agents {', '.join(rest)}, so book {ONE} " in said
    assert f"start `windvane worker proposals:{','.join(rest)}`" in said


def test_states_that_cannot_be_stored_stop_nothing_and_are_stored_when_they_can(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    folder = tmp_path / topics.prefix / "features"
    folder.parent.mkdir()
    folder.symlink_to("/proc")  # there is a folder, and nothing can be written to it

    async def run() -> None:
        async with inside(topics, tmp_path, STAGES[:1]) as running:
            await put(topics, TICKS, [to_json(opening(LIVE, ONE)), *rows(ONE, 0, 60)], ONE)
            await running.until("rows", upto(topics, ONE, 59))
            await running.until("a trouble", telling(running, "features", {"not_stored": PARTITIONS}))
            await put(topics, TICKS, rows(ONE, 60, 70), ONE)
            await running.until("more rows", upto(topics, ONE, 69))
            assert running.restarts() == 0
            folder.unlink()
            await running.until("no trouble", telling(running, "features", {}))
        assert (folder / "0.wvs").is_file()

    asyncio.run(run())


def test_a_book_whose_opening_is_older_than_what_is_kept_says_what_to_do(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    async def run() -> None:
        await emptied(topics, TICKS, ONE)
        async with inside(topics, tmp_path, STAGES[:1]) as running:
            await put(topics, TICKS, rows(ONE, 100, 300), ONE)
            await running.until("a trouble", telling(running, "features", {"opening_lost": 1}))
        (reason,) = await letters(topics)
        assert f"the opening of book {ONE} is no longer on its topic" in reason

    asyncio.run(run())
