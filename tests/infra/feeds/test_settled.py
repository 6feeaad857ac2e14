"""Up to which time silence may be believed: nothing that a feed gives later had arrived by then."""

from __future__ import annotations

import asyncio
import time

import pytest
from feed_harness import apart, capture, read

from windvane.infra.feeds.feed import Item, Trade
from windvane.infra.feeds.opening import open_feed
from windvane.infra.live.rows import LAG

STALL = 2 * LAG / 1e9


@pytest.mark.parametrize("name", ["binanceusdm", "ccxt:binanceusdm"])
def test_after_a_stall_the_time_waits_for_what_lies_on_the_sockets(name: str) -> None:
    """Wherever a trade is that has arrived: at the system, at the library that reads it, or waiting to be taken."""

    async def work(url: str) -> None:
        feed = open_feed(name, "BTCUSDT", url)
        await feed.open()
        await read(feed, lambda r: len(r.ids) > 20)
        for turns in range(8):
            time.sleep(STALL)
            for _ in range(turns):
                await asyncio.sleep(0)
            told = await feed.settled()
            later: list[Item] = []
            while not any(isinstance(item, Trade) for item in later):
                later += await feed.take()
            first = next(item for item in later if isinstance(item, Trade))
            assert first.ts > told - LAG, f"{turns} turns"
        before = await feed.settled()
        while await feed.settled() <= before:
            await asyncio.wait_for(feed.take(), 1.0)
        await feed.close()

    with apart(capture(seconds=60, rate=200)) as served:
        asyncio.run(asyncio.wait_for(work(served.url), 30))
