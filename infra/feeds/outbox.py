"""Outbox: the items of a feed that wait to be taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from windvane.infra.feeds.feed import MOST_WAITING, Item, Quote, Trade


class Outbox:
    """One task takes; any number put. Nothing is ever dropped: whoever reads sockets waits in `room` while it is
    full."""

    def __init__(self, by_time: bool) -> None:
        """by_time: whether trades and quotes come on sockets of their own, so that only their times tell the order."""
        self._by_time = by_time
        self._items: list[Item] = []
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._end: Exception | None = None

    def put(self, item: Item) -> None:
        """Add an item, at once."""
        self._items.append(item)
        self._wake()

    def extend(self, items: Iterable[Item]) -> None:
        """Add items, at once."""
        before = len(self._items)
        self._items.extend(items)
        if len(self._items) > before:
            self._wake()

    @property
    def empty(self) -> bool:
        """Whether all that was put has been taken."""
        return not self._items

    @property
    def full(self) -> bool:
        """Whether sockets are to be left unread until `room` returns."""
        return len(self._items) >= MOST_WAITING

    async def room(self) -> None:
        """Wait until there is room again."""
        await self._room.wait()

    def end(self, error: Exception) -> None:
        """Let `take` raise, once what waits has been taken."""
        self._end = self._end or error
        self._some.set()

    async def take(self) -> list[Item]:
        """Wait for items and return all of them."""
        await self._some.wait()
        if not self._items and self._end is not None:
            raise self._end
        items, self._items = self._items, []
        if self._end is None:
            self._some.clear()
        self._room.set()
        return merged(items) if self._by_time else items

    def _wake(self) -> None:
        self._some.set()
        if self.full:
            self._room.clear()


def merged(items: list[Item]) -> list[Item]:
    """Items in the order of time where trades and quotes came on sockets of their own; each kind keeps its order.

    A quote of the same time as a trade comes after it, since trades move quotes. Everything else (gaps, notes) stays
    with the trades around it. Times that step back within a kind count as the highest before them.
    """
    quotes = [item for item in items if isinstance(item, Quote)]
    if not quotes or len(quotes) == len(items):
        return items
    out: list[Item] = []
    at, highest, raised = 0, 0, 0
    for item in items:
        if isinstance(item, Quote):
            continue
        if isinstance(item, Trade):
            highest = max(highest, item.ts)
            while at < len(quotes) and max(raised, quotes[at].ts) < highest:
                raised = max(raised, quotes[at].ts)
                out.append(quotes[at])
                at += 1
        out.append(item)
    return [*out, *quotes[at:]]
