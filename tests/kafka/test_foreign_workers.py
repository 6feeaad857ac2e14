"""A class of one's own and shadows on a broker: the orders of the backtest over a restart, audited without code."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
from cli_harness import windvane
from running import PARTITIONS, inside, put, records

import guests
from simulated_book import config, opening, ticks
from windvane.agents.roster import roster
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.codec import from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, Event, Orders, Shadows, Statements, cut, join
from windvane.streams.records import order_lines
from windvane.streams.topics import ORDERS, PROPOSALS, SHADOWS, STATEMENTS, TICKS
from windvane.streams.topology import bound

ROWS = 900
MINE, SHADOW = ("vol_trend", "mine=guests:Drift"), ("s=guests:Breakout",)
STAGES = ("features", f"proposals:{','.join((*MINE, *SHADOW))}", "feedback", "ensemble")


def test_a_book_of_ones_own_class(topics: KafkaSettings, tmp_path: Path) -> None:
    agents, shadows = roster(MINE), roster(SHADOW)
    opened = opening(config(**agents.recorded(), **shadows.shadowing()))
    rows, end = ticks(ROWS), BookClosed(book="book", last=ROWS - 1)
    seen: list[Event] = []
    runner = EmbeddedRunner(
        lambda topic, event: seen.append(event), topology=bound({**agents.bindings, **shadows.bindings})
    )
    runner.feed([opened, rows, end])
    place = partition_of("book", PARTITIONS)

    async def work() -> None:
        sent: list[Event] = [opened, *(cut(rows, at, at + 50) for at in range(0, ROWS, 50))]
        await put(topics, TICKS, [to_json(event) for event in sent[:14]], "book")
        async with inside(topics, tmp_path, STAGES) as first:

            async def there() -> bool:
                return bool(await records(topics, ORDERS, place))

            await first.until("an order", there)
        await put(topics, TICKS, [to_json(event) for event in (*sent[14:], end)], "book")
        async with inside(topics, tmp_path, STAGES) as second:

            async def closed() -> bool:
                found = await records(topics, STATEMENTS, place)
                last = from_json(found[-1]) if found else None
                return isinstance(last, Statements) and last.last == ROWS - 1

            await second.until("the end", closed, every=0.5)

            async def told() -> bool:
                found = [from_json(raw) for raw in await records(topics, SHADOWS, place)]
                return any(isinstance(event, Shadows) and event.last == ROWS - 1 for event in found)

            await second.until("the shadow's end", told, every=0.5)
        lines = [line for e in seen if isinstance(e, Orders) for _, line in order_lines(e, "BTCUSD")]
        assert lines
        assert await records(topics, ORDERS, place) == lines
        wanted = join([event for event in seen if isinstance(event, Shadows)])
        found = [
            e for raw in await records(topics, SHADOWS, place) if isinstance(e := from_json(raw), Shadows)
        ]
        days = {int(event.seq[t]): event.pnl[t, 0] for event in found for t in range(len(event))}
        assert list(days) == wanted.seq.tolist()
        assert np.array_equal(np.array([*days.values()]), wanted.pnl[:, 0])
        for topic in (TICKS, PROPOSALS, SHADOWS):
            assert b"guests" not in b"".join(await records(topics, topic))
        told_by = {tuple(msgspec.json.decode(raw)["agents"]) for raw in await records(topics, PROPOSALS)}
        assert told_by == {("vol_trend", "mine")}

    asyncio.run(work())
    guests.Drift.made.clear()
    words = ("--book", "book", "--bootstrap", topics.bootstrap, "--prefix", topics.prefix)
    ran = windvane("replay", "audit", *words, "--out", tmp_path / "audit")
    assert ran.code == 0, ran.err
    assert "what mine (class, version 3), s (class, version 2024.1) proposed is played" in ran.err
    assert "the same to the last bit" in ran.err
    assert not guests.Drift.made
