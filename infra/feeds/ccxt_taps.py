"""Taps: what ccxt's websockets receive is handed on, item by item, where ccxt itself keeps the newest and drops the
rest.

ccxt stores trades in a cache of 1,000 and quotes in a dictionary of the newest, and its `watch` calls return what is
there when the caller gets its turn. Under load that loses most of it without a word. Its handlers append to these very
objects, so objects that hand everything on in place of storing it lose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ccxt.async_support.base.ws.cache import ArrayCache

from windvane.infra.feeds.watchdog import Watchdog


class _TradeTap(ArrayCache):  # type: ignore[misc]  # ccxt has no types
    """The cache of one symbol."""

    def __init__(self, hand_on: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(1)
        self._hand_on = hand_on

    def append(self, item: dict[str, Any]) -> None:
        """Hand a trade on; nothing is stored."""
        self._hand_on(item)


class _Caches(dict[str, Any]):
    """The caches of all symbols: one symbol is watched, so there is one, however the exchange spells it."""

    def __init__(self, tap: _TradeTap) -> None:
        super().__init__()
        self._tap = tap

    def __contains__(self, symbol: object) -> bool:
        return True

    def __missing__(self, symbol: str) -> _TradeTap:
        return self._tap

    def get(self, symbol: str, default: Any = None) -> Any:
        """The tap, whatever is asked for."""
        return self._tap

    def __setitem__(self, symbol: str, cache: Any) -> None:
        """What handlers put back is what they got."""


class _QuoteTap(dict[str, Any]):
    """The newest quotes by symbol."""

    def __init__(self, hand_on: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._hand_on = hand_on

    def __setitem__(self, symbol: str, ticker: dict[str, Any]) -> None:
        super().__setitem__(symbol, ticker)
        self._hand_on(ticker)


def tap(
    exchange: Any,
    quotes: str,
    trade: Callable[[dict[str, Any]], None],
    quote: Callable[[dict[str, Any]], None],
) -> None:
    """Let an exchange of ccxt.pro hand on each trade and quote; quotes: the attribute that holds them, "" for none."""
    exchange.trades = _Caches(_TradeTap(trade))
    if quotes:
        setattr(exchange, quotes, _QuoteTap(quote))


class Guard:
    """Watches the sockets that ccxt opens: frames are counted, and one that cannot be read silences nothing.

    An exception in a handler of ccxt ends its loop of reading without a word, and what waits hangs for minutes.
    """

    def __init__(self, exchange: Any, garbage: Callable[[], None], first: Callable[[str], None]) -> None:
        """garbage: called for each frame that cannot be read. first: called with the address at its first frame."""
        self.sockets: list[Any] = []
        self._dogs: dict[str, Watchdog] = {}
        self._garbage, self._first = garbage, first
        self._make = exchange.client
        exchange.client = self._client

    def start(self) -> None:
        """A dial begins: earlier sockets are over."""
        self.sockets.clear()

    def ended(self) -> str:
        """Why the connection is over, "" where it is not."""
        for socket in self.sockets:
            if socket.error is not None:
                return f"the connection broke ({socket.error})"
            if socket.connection is not None and socket.closed():
                return "the exchange closed the connection"
        return ""

    def silent(self, now: float) -> float:
        """Seconds for which a socket has been silent where that is too long, else 0."""
        return max((self._dogs[socket.url].silent(now) for socket in self.sockets), default=0.0)

    def _client(self, url: str) -> Any:
        socket = self._make(url)
        if socket not in self.sockets:
            self.sockets.append(socket)
            dog = self._dogs.setdefault(url, Watchdog(time.monotonic()))
            dog.start(time.monotonic())
            socket.handle_message = self._guarded(socket, dog)
        return socket

    def _guarded(self, socket: Any, dog: Watchdog) -> Callable[[Any], None]:
        handle, seen = socket.handle_message, False

        def guarded(message: Any) -> None:
            nonlocal seen
            if message.type not in _CONTENT:
                handle(message)
                return
            dog.frame(time.monotonic())
            if not seen:
                seen = True
                self._first(socket.url)
            try:
                handle(message)
            except Exception:  # noqa: BLE001 - whatever a handler of ccxt raises, reading goes on
                self._garbage()

        return guarded


_CONTENT = (1, 2)
"""aiohttp's types of messages with content: text and binary."""
