"""CcxtFeed: exchanges read over ccxt's websockets, with taps so that nothing is lost and our own watchdog."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import ccxt
import ccxt.pro

from windvane.infra.feeds import ccxt_venues as venues
from windvane.infra.feeds.ccxt_taps import Guard, tap
from windvane.infra.feeds.errors import FeedError
from windvane.infra.feeds.feed import Kline, Market, Quote, Trade
from windvane.infra.feeds.filling import keep_filled
from windvane.infra.feeds.rest import PAUSE, TRIES, check_endpoint
from windvane.infra.feeds.sequence import Overlap, Sequencer
from windvane.infra.feeds.session import Session
from windvane.infra.feeds.symbols import find

MS = 1_000_000
PAGE = 1000
T = TypeVar("T")
_LOOK = 0.25
_SETTLE = 2.0
"""Seconds after the first frame at which a subscription is taken to be in effect and missed trades are asked for."""
_PATIENCE = 60.0
"""Seconds for which an exchange is left alone that refused and did not say for how long."""


class CcxtFeed(Session):
    """See `Feed` of feed.py for what is promised, and docs/exchanges.md for what each exchange lacks."""

    def __init__(self, name: str, symbol: str, endpoint: str | None = None) -> None:
        """name: a key of `ccxt_venues.VENUES`. endpoint: scheme, host and port that replace the exchange's."""
        super().__init__(by_time=True)
        self._name, self._asked = name, symbol
        self._venue = venues.VENUES[name]
        self._exchange: Any = getattr(ccxt.pro, name)({"newUpdates": True})
        if name == "binance":
            self._exchange.options["fetchMarkets"]["types"] = ["spot"]
        if endpoint:
            base = check_endpoint(endpoint)
            self._exchange.urls["api"] = venues.redirected(self._exchange.urls["api"], base)
        tap(self._exchange, self._venue.quotes, self._trade, self._quote)
        self._guard = Guard(self._exchange, self._garbage, self._connected)
        self._order: Sequencer | Overlap = Sequencer(self._counts)
        self._first_frame = 0.0
        self._back = asyncio.Event()
        self._broke = False
        self._size = 1.0

    async def open(self, after: int | None = None) -> Market:
        """Ask for the symbol and the time, and begin to read."""
        self._check_closed()
        market = await self._prepared()
        if market.dense:
            self._order = Sequencer(self._counts, after)
            filled = keep_filled(self._order, self.outbox, self._page_from, self._fetched, self._back)
        else:
            self._order = Overlap(self._counts, after)
            filled = self._keep_joined(self._order)
        self._start(self._keep_up(), filled, self._keep_time())
        return market

    async def klines(self, interval: int, since: int, until: int) -> AsyncIterator[list[Kline]]:
        """Pages of finished bars that open in [since, until) ns; ccxt tells no exchange's taker volume."""
        symbol = (await self._prepared()).symbol
        names = {
            int(ccxt.Exchange.parse_timeframe(n)) * 1_000_000_000: n for n in self._exchange.timeframes or {}
        }
        if interval not in names:
            known = ", ".join(names.values())
            raise FeedError(f"{self._name} publishes no bars of {interval / 1e9:g} s: one of {known}")
        at = since
        while at < until:
            start = -(-at // MS)
            rows = await self._ask(
                lambda start=start: self._exchange.fetch_ohlcv(
                    symbol, names[interval], since=start, limit=PAGE
                )  # type: ignore[misc]
            )
            bars = [
                Kline(int(r[0]) * MS, float(r[1]), float(r[2]), float(r[3]), float(r[4]), float(r[5]), None)
                for r in rows
            ]
            whole = [b for b in bars if b.ts >= at and b.ts + interval <= min(until, self.now())]
            if not whole:
                return
            yield whole
            at = whole[-1].ts + interval

    async def trades(self, since: int, until: int) -> list[Trade]:
        """Trades with since <= ts < until (ns), as far back as the exchange lists them."""
        symbol = (await self._prepared()).symbol
        found: dict[object, Trade] = {}
        at = -(-since // MS)
        while at * MS < until:
            rows = await self._ask(
                lambda at=at: self._exchange.fetch_trades(symbol, since=at, limit=PAGE)  # type: ignore[misc]
            )
            page = [self._as_trade(row, 0) for row in rows]
            new = {row["id"]: t for row, t in zip(rows, page, strict=True) if row["id"] not in found}
            found |= new
            if not new or max(t.ts for t in page) // MS < at:
                break
            at = max(t.ts for t in page) // MS
        return sorted((t for t in found.values() if since <= t.ts < until), key=lambda t: (t.ts, t.id))

    async def close(self) -> None:
        """End all tasks and sockets."""
        await super().close()
        with suppress(ccxt.BaseError):
            await self._exchange.close()

    async def _prepared(self) -> Market:
        """The symbol's rules, and the time measured once."""
        if self._market is None:
            markets = await self._ask(self._exchange.load_markets)
            symbol = find(self._asked, venues.usable(markets), self._name)
            if markets[symbol].get("active") is False:
                raise FeedError(f"{symbol} does not trade at {self._name} now: give another symbol")
            self._size = (
                float(markets[symbol].get("contractSize") or 1.0) if markets[symbol].get("contract") else 1.0
            )
            self._market = venues.market_of(self._name, markets[symbol])
            await self._measure()
        return self._market

    async def _ask_time(self) -> int:
        if not self._exchange.has.get("fetchTime"):
            return time.time_ns()
        return int(await self._ask(self._exchange.fetch_time)) * MS

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask by REST, again where that may help; raises FeedError. Every class of errors is one of ccxt's."""
        trouble: Exception | None = None
        for again in range(TRIES):
            pause = PAUSE * 2.0**again
            try:
                return await question()
            except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
                trouble, pause = error, _PATIENCE
                self._leave_alone(429, pause)
            except ccxt.NetworkError as error:
                trouble = error
            except ccxt.BaseError as error:
                raise FeedError(
                    f"{self._name} refuses ({_short(error)}): check the symbol and --endpoint"
                ) from error
            if again < TRIES - 1:
                await asyncio.sleep(pause)
        assert trouble is not None  # noqa: S101 - every try ended in an error
        raise FeedError(
            f"{self._name} cannot be reached ({_short(trouble)}): check the network and --endpoint"
        )

    async def _keep_up(self) -> None:
        """Dial, watch, drop and dial again, until cancelled."""
        while True:
            while (wait := self.dialling.wait(time.monotonic())) > 0.0:
                self._note("dialling", f"the next attempt to connect starts in {wait:.1f} s", wait)
                await asyncio.sleep(wait)
            began = time.monotonic()
            self._guard.start()
            watching = [
                asyncio.ensure_future(
                    self._exchange.watch_trades(self.market.symbol, params=dict(self._venue.params))
                )
            ]
            if self._venue.quotes == "bidsasks" or self._name == "kraken":
                watching.append(asyncio.ensure_future(self._exchange.watch_bids_asks([self.market.symbol])))
            elif self._venue.quotes:
                watching.append(asyncio.ensure_future(self._exchange.watch_ticker(self.market.symbol)))
            try:
                await self._watch(watching)
            finally:
                for each in watching:
                    each.cancel()
                await asyncio.gather(*watching, return_exceptions=True)
                with suppress(ccxt.BaseError, OSError):
                    await self._exchange.close_ws_clients()
            self._broke = True
            if isinstance(self._order, Overlap):
                self._order.interrupt()
            now = time.monotonic()
            self.dialling.ended(now, now - began)
            await self.outbox.room()

    async def _watch(self, watching: list[asyncio.Future[Any]]) -> None:
        """Wait until a socket ends or is silent for too long, or more waits than is to be held."""
        counted = 0
        while not self.outbox.full:
            await asyncio.sleep(_LOOK)
            new = len(self._guard.sockets) - counted
            for _ in range(new):
                self.dialling.attempt(time.monotonic())
            counted += new
            self._counts.dials += new
            if self._guard.ended() or any(w.done() and not w.cancelled() and w.exception() for w in watching):
                return
            if silence := self._guard.silent(time.monotonic()):
                self._note("silent", f"no frame for {silence:.1f} s: the connection is dropped", silence)
                return

    def _holds(self) -> bool:
        return isinstance(self._order, Sequencer) and self._order.holds(time.monotonic())

    def _connected(self, url: str) -> None:
        self._first_frame = time.monotonic()
        if self._broke:
            self._back.set()
        self._note("connected", f"frames come from {url.partition('?')[0]}")

    def _trade(self, row: dict[str, Any]) -> None:
        trade = self._as_trade(row, time.time_ns())
        self._saw(trade.ts)
        now = time.monotonic()
        order = self._order
        out = (
            order.push(trade, now)
            if isinstance(order, Sequencer)
            else order.push(trade, row["id"] or trade.id)
        )
        self.outbox.extend(out)

    def _quote(self, row: dict[str, Any]) -> None:
        if row["bid"] is None or row["ask"] is None:
            return
        self._counts.quotes += 1
        ts = row["timestamp"] * MS if row["timestamp"] else self.clock.now()
        sizes = float(row["bidVolume"] or 0.0) * self._size, float(row["askVolume"] or 0.0) * self._size
        self.outbox.put(Quote(ts, float(row["bid"]), float(row["ask"]), *sizes, time.time_ns()))

    def _as_trade(self, row: dict[str, Any], received: int) -> Trade:
        """A trade of ccxt as ours. Ids that are no numbers are numbered by their time in us, and rise from there."""
        text, ts = str(row["id"] or ""), int(row["timestamp"]) * MS
        number = int(text) if text.isdecimal() and len(text) < 19 else self._numbered(ts)
        return Trade(
            number, ts, float(row["price"]), float(row["amount"]) * self._size, row["side"] == "buy", received
        )

    def _numbered(self, ts: int) -> int:
        last = self._order.last
        return ts // 1000 if last is None else max(last + 1, ts // 1000)

    async def _page_from(self, first: int) -> list[Trade]:
        symbol = self.market.symbol
        rows = await self._ask(
            lambda: self._exchange.fetch_trades(symbol, limit=PAGE, params={"fromId": first})
        )
        return [self._as_trade(row, 0) for row in rows]

    def _fetched(self, count: int) -> None:
        self._counts.fetched += count

    async def _keep_joined(self, order: Overlap) -> None:
        """After a break, join what is listed to what was seen, or declare a gap."""
        while True:
            await asyncio.sleep(_LOOK)
            if not order.broken or time.monotonic() - self._first_frame < _SETTLE or not self._guard.sockets:
                continue
            try:
                symbol = self.market.symbol
                rows = await self._ask(lambda: self._exchange.fetch_trades(symbol, limit=PAGE))  # noqa: B023
                latest = [(self._as_trade(row, 0), row["id"]) for row in rows]
                latest.sort(key=lambda pair: pair[0].id)
                reason = "the list of trades is too short"
            except FeedError as error:
                latest, reason = [], f"trades could not be fetched: {error}"
            self.outbox.extend(order.fill(latest, reason))


def _short(error: Exception) -> str:
    """The first 200 characters of what went wrong, in one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
