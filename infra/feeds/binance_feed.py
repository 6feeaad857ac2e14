"""BinanceFeed: spot and USD-M futures of Binance, read without a framework in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random

import aiohttp
import msgspec

from windvane.infra.feeds import binance_wire as wire
from windvane.infra.feeds.clock import EVERY, ExchangeClock
from windvane.infra.feeds.dialling import Dialling
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Counts, Item, Kind, Kline, Market, Note, Trade
from windvane.infra.feeds.line import ROLL_AFTER, Line
from windvane.infra.feeds.outbox import Outbox
from windvane.infra.feeds.rest import Rest, check_endpoint, websocket_of
from windvane.infra.feeds.sequence import Sequencer
from windvane.infra.feeds.symbols import find

PAGE = 1000
"""Trades in one answer of aggTrades, the most that is given."""
MOST_PAGES = 100
"""Pages fetched for one hole; what is beyond is declared missing."""
_LOOK = 0.05
_LAG = 5
"""Times that trades are asked for which the exchange has sent to others and does not list yet."""


class BinanceFeed:
    """See `Feed` of feed.py for what is promised; names are those of `binance_wire.VENUES`."""

    def __init__(
        self, exchange: str, symbol: str, endpoint: str | None = None, *, roll_after: float = ROLL_AFTER
    ) -> None:
        """endpoint: scheme, host and port that replace the exchange's, for REST and websockets alike."""
        self._venue = wire.VENUES[exchange]
        self._asked = symbol
        base = check_endpoint(endpoint) if endpoint else None
        self._rest_base = base or self._venue.rest
        self._ws_base = websocket_of(base) if base else self._venue.websocket
        self._roll_after = roll_after
        self._outbox = Outbox(by_time=len(self._venue.sockets) > 1)
        self._clock = ExchangeClock()
        self._counts = Counts()
        self._dialling = Dialling(Random(time.time_ns()))  # noqa: S311 - jitter, no secret
        self._market: Market | None = None
        self._sequencer = Sequencer(self._counts)
        self._update = 0
        self._drifted = asyncio.Event()
        self._lines: list[Line] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None
        self._opened_rest: Rest | None = None

    @property
    def market(self) -> Market:
        """What `open` learned."""
        if self._market is None:
            raise FeedError("the feed is not open: open it first")
        return self._market

    @property
    def offset(self) -> int:
        """ns by which the exchange's clock is ahead."""
        return self._clock.offset

    @property
    def counts(self) -> Counts:
        """What was seen so far."""
        return self._counts

    def now(self) -> int:
        """ns, the exchange's time."""
        return self._clock.now()

    async def open(self, after: int | None = None) -> Market:
        """Ask for the symbol and the time, and begin to read."""
        if self._tasks:
            raise FeedError("the feed is open already: make another for another session")
        market = await self._prepared()
        self._sequencer = Sequencer(self._counts, after)
        session = self._connected()
        for url, quotes in wire.urls(self._venue, self._ws_base, market.native):
            line = Line(session, url, self._frame, self._outbox, self._dialling, roll_after=self._roll_after)
            line.dialled = self._dialled
            if quotes:
                line.broken = self._forget_update
            self._lines.append(line)
        for work in (*(line.run() for line in self._lines), self._fill(), self._keep_time()):
            task = asyncio.create_task(work)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
        return market

    async def take(self) -> list[Item]:
        """Wait for items, and return all that are there."""
        return await self._outbox.take()

    async def klines(self, interval: int, since: int, until: int) -> AsyncIterator[list[Kline]]:
        """Pages of finished bars that open in [since, until) ns."""
        native = (await self._prepared()).native
        names = {ns: name for name, ns in wire.INTERVALS.items()}
        if not self._venue.perpetual:
            names[1_000_000_000] = "1s"
        if interval not in names:
            raise FeedError(f"{self._venue.name} publishes no bars of {interval / 1e9:g} s: one of {[*names.values()]}")
        at = since
        while at < until:
            query: dict[str, str | int] = {"symbol": native, "interval": names[interval], "startTime": -(-at // wire.MS)}
            query |= {"endTime": (until - 1) // wire.MS, "limit": self._venue.most_klines}
            page = wire.parse_klines(await self._rest().get(f"{self._venue.prefix}/klines", query))
            whole = [bar for bar in page if bar.ts >= at and bar.ts + interval <= min(until, self.now())]
            if whole:
                yield whole
            if len(page) < self._venue.most_klines or not whole:
                return
            at = whole[-1].ts + interval

    async def trades(self, since: int, until: int) -> list[Trade]:
        """Trades with since <= ts < until (ns)."""
        native = (await self._prepared()).native
        # Times of the exchange are whole ms, so the window's edges are rounded to those that lie in it.
        first, last = -(-since // wire.MS), -(-until // wire.MS) - 1
        if last < first:
            return []
        # An hour is the longest window that is answered; from the first trade on, ids page without holes.
        at = first
        page: list[Trade] = []
        while at <= last and not page:
            end = min(last, at + 3_599_999)
            page = await self._page({"symbol": native, "startTime": at, "endTime": end, "limit": PAGE})
            at = end + 1
        out: list[Trade] = []
        while page:
            out += [trade for trade in page if trade.ts < until]
            if page[-1].ts >= until:
                break
            page = await self._page({"symbol": native, "fromId": page[-1].id + 1, "limit": PAGE})
        return out

    async def close(self) -> None:
        """End all tasks and sockets."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        session, self._session, self._opened_rest = self._session, None, None
        if session is not None:
            await session.close()
        self._outbox.end(FeedError("the feed is closed: open another"))

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0))
        return self._session

    def _rest(self) -> Rest:
        if self._opened_rest is None:
            self._opened_rest = Rest(self._connected(), self._rest_base, self._refused)
        return self._opened_rest

    async def _prepared(self) -> Market:
        """The symbol's rules, and the time measured once."""
        if self._market is None:
            self._market = await self._learn()
            await self._measure()
        return self._market

    async def _learn(self) -> Market:
        known = wire.parse_symbols(await self._rest().get(f"{self._venue.prefix}/exchangeInfo"))
        native = find(self._asked, {name: s.symbol for name, s in known.items()}, self._venue.name)
        name, found = next((name, s) for name, s in known.items() if s.symbol == native)
        if state := wire.inactive(found):
            raise FeedError(f"{name} does not trade at {self._venue.name} now ({state}): give another symbol")
        return wire.market_of(name, found, self._venue)

    async def _measure(self) -> None:
        async def ask() -> int:
            return wire.parse_time(await self._rest().get(f"{self._venue.prefix}/time"))

        offset = await self._clock.measure(ask) / 1e9
        self._note("offset", f"the exchange's clock is {offset:+.3f} s ahead of this machine's", offset)

    async def _keep_time(self) -> None:
        """Measure the offset each minute, and at once where trades say that it is off, at most each second."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drifted.wait(), EVERY)
            try:
                await self._measure()
            except FeedError as error:
                self._note("offset", f"the offset stays as it was: {error}", self._clock.offset / 1e9)
            await asyncio.sleep(1.0)
            self._drifted.clear()

    def _frame(self, frame: bytes, received: int) -> None:
        """Pass on what a frame says; one that cannot be read is counted, and no more."""
        try:
            found = wire.parse_frame(frame, received, self._clock.now())
        except msgspec.DecodeError:
            self._counts.garbage += 1
            if self._counts.garbage & (self._counts.garbage - 1) == 0:  # told at 1, 2, 4, 8, ...
                self._note("garbage", f"{self._counts.garbage} frames could not be read", self._counts.garbage)
            return
        if type(found) is Trade:
            if self._clock.saw(found.ts):
                self._drifted.set()
            self._outbox.extend(self._sequencer.push(found, time.monotonic()))
        elif type(found) is wire.Ticker:
            if found.update <= self._update:
                self._counts.duplicates += 1
                return
            self._update = found.update
            self._counts.quotes += 1
            self._outbox.put(found.quote)
        elif found == wire.SHUTDOWN:
            for line in self._lines:
                line.roll()

    def _forget_update(self) -> None:
        """Numbers of updates may begin anew after a break, when an exchange was restarted."""
        self._update = 0

    async def _fill(self) -> None:
        """Fetch trades that are missing, for as long as the feed is open."""
        sequencer = self._sequencer
        while True:
            await asyncio.sleep(_LOOK)
            hole = sequencer.hole(time.monotonic())
            if hole is None:
                continue
            reason = await self._fetch(*hole)
            while sequencer.last is not None and sequencer.last < hole[1]:
                out = sequencer.skip(reason)
                self._outbox.extend(out)
                if not out:
                    break

    async def _fetch(self, first: int, last: int) -> str:
        """Fetch trades by id and push them; returns why some are still missing, should that be so."""
        at, lag = first, 0
        for _ in range(MOST_PAGES):
            try:
                page = await self._page({"symbol": self.market.native, "fromId": at, "limit": PAGE})
            except FeedError as error:
                return f"trades could not be fetched: {error}"
            wanted = [trade for trade in page if at <= trade.id <= last]
            for trade in wanted:
                self._counts.fetched += 1
                self._outbox.extend(self._sequencer.push(trade, time.monotonic()))
            if wanted:
                at = wanted[-1].id + 1
            elif page or (lag := lag + 1) >= _LAG:
                return "the exchange does not list these trades"
            else:
                await asyncio.sleep(0.2 * lag)
            if at > last:
                return ""
        return f"more than {MOST_PAGES * PAGE:,} trades are missing"

    async def _page(self, query: dict[str, str | int]) -> list[Trade]:
        body = await self._rest().get(f"{self._venue.prefix}/aggTrades", query)
        try:
            return wire.parse_trades(body)
        except msgspec.DecodeError as error:
            raise FeedError(f"{self._venue.name} answers aggTrades in a way that cannot be read: {error}") from error

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tasks end by being cancelled; one that fails would leave the caller waiting for ever."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._outbox.end(error if isinstance(error, Exception) else FeedError(f"the feed ended: {error!r}"))

    def _dialled(self) -> None:
        self._counts.dials += 1

    def _refused(self, status: int, seconds: float) -> None:
        self._dialling.forbid(time.monotonic(), seconds)
        self._note("refused", f"the exchange answered {status}: left alone for {seconds:.0f} s", seconds)

    def _note(self, kind: Kind, text: str, value: float = 0.0) -> None:
        self._outbox.put(Note(kind, time.time_ns(), text, value))
