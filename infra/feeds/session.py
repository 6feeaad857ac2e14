"""Session: what every feed has, whatever it speaks: items that wait, the clock, counts, tasks and their end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from random import Random

from windvane.infra.feeds.clock import EVERY, ExchangeClock
from windvane.infra.feeds.dialling import Dialling
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Counts, Item, Kind, Market, Note
from windvane.infra.feeds.outbox import Outbox

_TURNS = 8
"""Turns of the loop in which a frame that has arrived comes to be taken: ccxt needs six."""
_APART = 20_000_000
"""ns between two looks at the sockets, so that a busy market is not slowed down by them."""


class Session:
    """The part of `Feed` that needs no exchange; a feed adds the rest of it, `_ask_time` and `_holds`."""

    def __init__(self, *, by_time: bool) -> None:
        """by_time: whether trades and quotes come on sockets of their own."""
        self.outbox = Outbox(by_time=by_time)
        self.clock = ExchangeClock()
        self.dialling = Dialling(Random(time.time_ns()))  # noqa: S311 - jitter, no secret
        self._counts = Counts()
        self._market: Market | None = None
        self._drifted = asyncio.Event()
        self._settled = 0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def market(self) -> Market:
        """What `open` learned."""
        if self._market is None:
            raise FeedError("the feed is not open: open it first")
        return self._market

    @property
    def offset(self) -> int:
        """ns by which the exchange's clock is ahead."""
        return self.clock.offset

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self._counts

    def now(self) -> int:
        """ns, the exchange's time."""
        return self.clock.now()

    async def take(self) -> list[Item]:
        """Wait for items, and return all that are there."""
        return await self.outbox.take()

    async def settled(self) -> int:
        """ns, the exchange's time at which all that had arrived by then has been taken."""
        now = self.now()
        if abs(now - self._settled) < _APART or self._left():
            return self._settled
        for _ in range(_TURNS):  # each reads the sockets
            await asyncio.sleep(0)
        if not self._left():
            self._settled = now
        return self._settled

    async def close(self) -> None:
        """End all tasks."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.outbox.end(FeedError("the feed is closed: open another"))

    async def _ask_time(self) -> int:
        """ns, what the exchange says the time is; raises FeedError."""
        raise NotImplementedError

    def _holds(self) -> bool:
        """Whether trades are held back for one that is missing."""
        raise NotImplementedError

    def _left(self) -> bool:
        return not self.outbox.empty or self._holds()

    def _note(self, kind: Kind, text: str, value: float = 0.0) -> None:
        self.outbox.put(Note(kind, time.time_ns(), text, value))

    def _start(self, *work: Coroutine[None, None, None]) -> None:
        """Let work go on until `close`; once it runs, the feed is open."""
        self._settled = self.now()
        for each in work:
            task = asyncio.create_task(each)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tasks end by being cancelled; one that fails would leave the caller waiting for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.outbox.end(
                error if isinstance(error, Exception) else FeedError(f"the feed ended: {error!r}")
            )

    def _check_closed(self) -> None:
        if self._tasks:
            raise FeedError("the feed is open already: make another for another session")

    async def _measure(self) -> None:
        offset = await self.clock.measure(self._ask_time) / 1e9
        which = "ahead of" if offset >= 0.0 else "behind"
        self._note("offset", f"the exchange's clock is {abs(offset):.3f} s {which} this machine's", offset)

    async def _keep_time(self) -> None:
        """Measure the offset each minute, and at once where trades say that it is off, at most each second."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._drifted.wait()
            try:
                await self._measure()
            except FeedError as error:
                self._note("offset", f"the offset stays as it was: {error}", self.clock.offset / 1e9)
            await asyncio.sleep(1.0)
            self._drifted.clear()

    def _saw(self, ts: int) -> None:
        """A trade of time ts (ns) came."""
        if self.clock.saw(ts):
            self._drifted.set()

    def _garbage(self) -> None:
        """Count a frame that could not be read; the 1st, 2nd, 4th, 8th ... is told."""
        self._counts.garbage += 1
        if self._counts.garbage & (self._counts.garbage - 1) == 0:
            self._note("garbage", f"{self._counts.garbage} frames could not be read", self._counts.garbage)

    def _leave_alone(self, status: int, seconds: float) -> None:
        """The exchange refused: dial no socket meanwhile."""
        self.dialling.forbid(time.monotonic(), seconds)
        self._note("refused", f"the exchange answered {status}: left alone for {seconds:.0f} s", seconds)
