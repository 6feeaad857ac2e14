"""A feed that is closed ends at once, whatever happens to its sockets at that moment."""

from __future__ import annotations

import asyncio
import random

from feed_harness import capture

from windvane.infra.exchange.faults import Fault, What
from windvane.infra.exchange.server import LocalExchange
from windvane.infra.feeds.opening import open_feed


def test_a_feed_ends_while_its_sockets_do() -> None:
    async def work() -> None:
        draw = random.Random(7)
        kinds: tuple[What, ...] = ("drop", "shutdown", "garbage")
        async with LocalExchange(capture("binance", seconds=4000), speed=10) as exchange:
            before = asyncio.all_tasks()
            for _ in range(25):
                feed = open_feed("binance", "BTCUSDT", exchange.url)
                await feed.open()
                await asyncio.sleep(draw.random() * 0.1)
                await exchange.inject(Fault(0, draw.choice(kinds), lasts=0.1))
                await asyncio.sleep(draw.choice((0.0, 0.001, 0.01, 0.05)))
                async with asyncio.timeout(5):
                    await feed.close()
                assert not [t for t in asyncio.all_tasks() - before if "feeds/" in str(t.get_coro())]

    asyncio.run(work())
