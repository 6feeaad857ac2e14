"""A policy on disk in a worker: the orders of its backtest, and a worker that is stopped goes on with its state."""

import asyncio
from pathlib import Path

import numpy as np
from running import PARTITIONS, STAGES, inside, put, records

from simulated_book import config, opening, ticks
from some_policy import form, layers
from windvane.agents.roster import roster
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.policies.folder import write_policy
from windvane.streams.codec import from_json, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, Decisions, Event, Orders, cut
from windvane.streams.records import order_lines
from windvane.streams.topics import DECISIONS, ORDERS, PROPOSALS, TICKS
from windvane.streams.topology import bound

ROWS, HALF = 700, 600


def test_a_worker_serves_it_as_a_backtest_does(topics: KafkaSettings, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_policy(folder, layers((51, 16, 8, 3), 0, 0), form())
    words = ["ema_momentum", f"mine={folder}"]
    agents = roster(words)
    settings, rows, end = config(**agents.recorded()), ticks(ROWS), BookClosed(book="book", last=ROWS - 1)
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), topology=bound(agents.bindings))
    runner.feed([opening(settings), rows, end])
    wanted = [line for e in seen if isinstance(e, Orders) for _, line in order_lines(e, settings.symbol)]
    stages = [f"proposals:{','.join(words)}" if s.startswith("proposals") else s for s in STAGES]

    async def decided() -> int:
        found = [from_json(raw) for raw in await records(topics, DECISIONS)]
        return int(np.sum([len(event) for event in found if isinstance(event, Decisions)]))

    async def run() -> list[bytes]:
        states = tmp_path / "states"
        for start, stop in ((0, HALF), (HALF, ROWS)):
            raws = [to_json(opening(settings))] if start == 0 else []
            raws += [to_json(cut(rows, at, at + 20)) for at in range(start, stop, 20)]
            raws += [to_json(end)] if stop == ROWS else []
            await put(topics, TICKS, raws, "book")

            async def there(stop: int = stop) -> bool:
                return await decided() >= stop

            async with inside(topics, states, stages) as running:
                await running.until("all rows", there, every=0.5)
        said = b"".join(await records(topics, PROPOSALS))
        assert str(folder).encode() not in said
        return await records(topics, ORDERS, partition_of("book", PARTITIONS))

    found = asyncio.run(run())
    assert found == wanted
    assert found
