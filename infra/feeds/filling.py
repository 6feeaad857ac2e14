"""Filling: trades that a dense exchange has numbered and that did not come are fetched by id, or declared missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Trade
from windvane.infra.feeds.outbox import Outbox
from windvane.infra.feeds.sequence import Sequencer

MOST_PAGES = 100
"""Answers asked for to fill one hole; what is beyond is declared missing."""
_LOOK = 0.05
_SHORT = 100
"""A page of fewer trades reaches to the present."""
_LAG = 5
"""Times that trades are asked for which the exchange has sent to others and does not list yet."""


async def keep_filled(
    sequencer: Sequencer,
    outbox: Outbox,
    page: Callable[[int], Awaitable[list[Trade]]],
    fetched: Callable[[int], None],
    back: asyncio.Event,
) -> None:
    """Fill holes as they are found, until cancelled.

    page: gives trades from an id on, oldest first; raises FeedError. fetched: told how many trades came that way.
    back: set when a connection is up again, so that what was missed does not wait for the next trade to show it.
    """
    while True:
        await asyncio.sleep(_LOOK)
        if back.is_set():
            back.clear()
            await _catch_up(sequencer, outbox, page, fetched)
        hole = sequencer.hole(time.monotonic())
        if hole is None:
            continue
        reason = await _fetch(*hole, sequencer, outbox, page, fetched)
        while sequencer.last is not None and sequencer.last < hole[1]:
            out = sequencer.skip(reason)
            outbox.extend(out)
            if not out:
                break


async def _catch_up(
    sequencer: Sequencer,
    outbox: Outbox,
    page: Callable[[int], Awaitable[list[Trade]]],
    fetched: Callable[[int], None],
) -> None:
    """Push what is listed after the last trade; where that fails, the next trade shows the hole."""
    with suppress(FeedError):
        for _ in range(MOST_PAGES):
            if (before := sequencer.last) is None:
                return
            found = await page(before + 1)
            for trade in sorted(found, key=lambda trade: trade.id):
                out = sequencer.push(trade, time.monotonic())
                fetched(len(out) > 0)
                outbox.extend(out)
            if sequencer.last == before or len(found) < _SHORT:
                return


async def _fetch(
    first: int,
    last: int,
    sequencer: Sequencer,
    outbox: Outbox,
    page: Callable[[int], Awaitable[list[Trade]]],
    fetched: Callable[[int], None],
) -> str:
    """Fetch trades by id and push them; returns why some are still missing, should that be so."""
    at, lag = first, 0
    for _ in range(MOST_PAGES):
        try:
            found = await page(at)
        except FeedError as error:
            return f"trades could not be fetched: {error}"
        wanted = sorted((trade for trade in found if at <= trade.id <= last), key=lambda trade: trade.id)
        for trade in wanted:
            outbox.extend(sequencer.push(trade, time.monotonic()))
        fetched(len(wanted))
        if wanted:
            at = wanted[-1].id + 1
            if at > last:
                return "the exchange's list has holes"
        elif found:
            return "the exchange does not list these trades any more"
        else:
            lag += 1
            if lag == _LAG:
                return "the exchange does not list these trades"
            await asyncio.sleep(0.2 * lag)
    return f"more than {MOST_PAGES} pages of trades are missing"
