"""BinanceFeed: spot and USD-M futures of Binance, read without a framework in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import aiohttp
import msgspec

from windvane.infra.feeds import binance_wire as wire
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Kline, Market, Trade
from windvane.infra.feeds.filling import keep_filled
from windvane.infra.feeds.line import ROLL_AFTER, Line
from windvane.infra.feeds.rest import Rest, check_endpoint, websocket_of
from windvane.infra.feeds.sequence import Sequencer
from windvane.infra.feeds.session import Session
from windvane.infra.feeds.symbols import find

PAGE = 1000
"""Trades in one answer of aggTrades, the most that is given."""
_HOUR = 3_599_999
"""ms of the longest window that aggTrades answers."""


T = TypeVar("T")


class BinanceFeed(Session):
    """See `Feed` of feed.py for what is promised; names are those of `binance_wire.VENUES`."""

    def __init__(
        self, exchange: str, symbol: str, endpoint: str | None = None, *, roll_after: float = ROLL_AFTER
    ) -> None:
        """endpoint: scheme, host and port that replace the exchange's, for REST and websockets alike."""
        self._venue = wire.VENUES[exchange]
        super().__init__(by_time=len(self._venue.sockets) > 1)
        self._asked = symbol
        base = check_endpoint(endpoint) if endpoint else None
        self._rest_base = base or self._venue.rest
        self._ws_base = websocket_of(base) if base else self._venue.websocket
        self._roll_after = roll_after
        self._sequencer = Sequencer(self._counts)
        self._update = 0
        self._back = asyncio.Event()
        self._recorded: Callable[[bytes, int], None] | None = None
        self._lines: list[Line] = []
        self._session: aiohttp.ClientSession | None = None
        self._opened_rest: Rest | None = None

    async def open(self, after: int | None = None) -> Market:
        """Ask for the symbol and the time, and begin to read."""
        self._check_closed()
        market = await self._prepared()
        self._sequencer = Sequencer(self._counts, after)
        session = self._connected()
        for url, quotes in wire.urls(self._venue, self._ws_base, market.native):
            line = Line(session, url, self._frame, self.outbox, self.dialling, roll_after=self._roll_after)
            line.dialled = self._dialled
            line.up = self._back.set
            if quotes:
                line.broken = self._forget_update
            self._lines.append(line)
        filled = keep_filled(self._sequencer, self.outbox, self._page_from, self._fetched, self._back)
        self._start(*(line.run() for line in self._lines), filled, self._keep_time())
        return market

    async def klines(self, interval: int, since: int, until: int) -> AsyncIterator[list[Kline]]:
        """Pages of finished bars that open in [since, until) ns."""
        native = (await self._prepared()).native
        names = {ns: name for name, ns in wire.INTERVALS.items()}
        if not self._venue.perpetual:
            names[1_000_000_000] = "1s"
        if interval not in names:
            raise FeedError(
                f"{self._venue.name} publishes no bars of {interval / 1e9:g} s: one of {[*names.values()]}"
            )
        at = since
        while at < until:
            query: dict[str, str | int] = {
                "symbol": native,
                "interval": names[interval],
                "startTime": -(-at // wire.MS),
            }
            query |= {"endTime": (until - 1) // wire.MS, "limit": self._venue.most_klines}
            page = self._read(
                wire.parse_klines, await self._rest().get(f"{self._venue.prefix}/klines", query)
            )
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
            end = min(last, at + _HOUR)
            page = await self._page({"symbol": native, "startTime": at, "endTime": end, "limit": PAGE})
            at = end + 1
        out: list[Trade] = []
        while page:
            out += [trade for trade in page if trade.ts < until]
            if page[-1].ts >= until:
                break
            page = await self._page({"symbol": native, "fromId": page[-1].id + 1, "limit": PAGE})
        return out

    def record(self, frame: Callable[[bytes, int], None]) -> None:
        """Call `frame` from now on with every frame as it comes, and this machine's clock in ns: for recordings."""
        self._recorded = frame

    async def close(self) -> None:
        """End all tasks and sockets."""
        await super().close()
        session, self._session, self._opened_rest = self._session, None, None
        if session is not None:
            await session.close()

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10.0))
        return self._session

    def _rest(self) -> Rest:
        if self._opened_rest is None:
            self._opened_rest = Rest(self._connected(), self._rest_base, self._leave_alone)
        return self._opened_rest

    async def _prepared(self) -> Market:
        """The symbol's rules, and the time measured once."""
        if self._market is None:
            self._market = await self._learn()
            await self._measure()
        return self._market

    async def _learn(self) -> Market:
        known = self._read(wire.parse_symbols, await self._rest().get(f"{self._venue.prefix}/exchangeInfo"))
        native = find(self._asked, {name: s.symbol for name, s in known.items()}, self._venue.name)
        name, found = next((name, s) for name, s in known.items() if s.symbol == native)
        if state := wire.inactive(found):
            raise FeedError(f"{name} does not trade at {self._venue.name} now ({state}): give another symbol")
        return wire.market_of(name, found, self._venue)

    async def _ask_time(self) -> int:
        body = await self._rest().get(f"{self._venue.prefix}/time")
        return self._read(wire.parse_time, body)

    def _frame(self, frame: bytes, received: int) -> None:
        """Pass on what a frame says; one that cannot be read is counted, and no more."""
        if self._recorded is not None:
            self._recorded(frame, received)
        try:
            found = wire.parse_frame(frame, received, self.clock.now)
        except msgspec.DecodeError:
            self._counts.garbage += 1
            if self._counts.garbage & (self._counts.garbage - 1) == 0:  # told at 1, 2, 4, 8, ...
                self._note(
                    "garbage", f"{self._counts.garbage} frames could not be read", self._counts.garbage
                )
            return
        if type(found) is Trade:
            self._saw(found.ts)
            self.outbox.extend(self._sequencer.push(found, time.monotonic()))
        elif type(found) is wire.Ticker:
            if found.update <= self._update:
                self._counts.duplicates += 1
                return
            self._update = found.update
            self._counts.quotes += 1
            self.outbox.put(found.quote)
        elif found == wire.SHUTDOWN:
            for line in self._lines:
                line.roll()

    def _holds(self) -> bool:
        return self._sequencer.holds(time.monotonic())

    def _forget_update(self) -> None:
        """Numbers of updates may begin anew after a break, when an exchange was restarted."""
        self._update = 0

    async def _page_from(self, first: int) -> list[Trade]:
        return await self._page({"symbol": self.market.native, "fromId": first, "limit": PAGE})

    async def _page(self, query: dict[str, str | int]) -> list[Trade]:
        return self._read(wire.parse_trades, await self._rest().get(f"{self._venue.prefix}/aggTrades", query))

    def _read(self, parse: Callable[[bytes], T], body: bytes) -> T:
        try:
            return parse(body)
        except (msgspec.DecodeError, LookupError, ValueError) as error:
            raise FeedError(
                f"{self._rest_base} gives an answer that cannot be read ({error}): check --endpoint"
            ) from error

    def _fetched(self, count: int) -> None:
        self._counts.fetched += count

    def _dialled(self) -> None:
        self._counts.dials += 1
