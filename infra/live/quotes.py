"""Quotes: the last best bid and ask that can be believed, for the trades that come after it."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from windvane.infra.feeds.feed import Quote, Trade
from windvane.metamodel.base.rows import MOST_SIZE
from windvane.metamodel.data.cleaning import CROSSED, QUOTE, REASONS, SECOND, SIZE

PATIENCE = 10 * SECOND
"""ns of the exchange's time for which the first trades wait for a quote, before the book has none for good."""


class Quotes:
    """A quote that is rejected leaves the one before it in place. Quotes are compared with prices by the `Cleaner`."""

    def __init__(self, wanted: bool, *, fixed: bool) -> None:
        """wanted: whether the book has, or may have, quotes. fixed: whether that is decided, so that trades wait for
        the first quote however long it takes.
        """
        self.last: Quote | None = None
        self._wanted = wanted
        self._fixed = fixed
        self._rejecting = False
        self._since = 0  # ns, the time from which the first quote is waited for

    @property
    def awaited(self) -> bool:
        """Whether trades wait for the first quote."""
        return self._wanted and self.last is None

    def gave_up(self, now: int) -> bool:
        """Whether no quote came for `PATIENCE` at exchange time `now` (ns); the book has no quotes from then on."""
        self._since = self._since or now
        if self._fixed or now - self._since < PATIENCE:
            return False
        self._wanted = False
        return True

    def put(self, quote: Quote) -> str:
        """Take in a quote; returns why it is rejected, "" where it is not or where the one before it was, too."""
        if not self._wanted:
            return ""
        code = _judge(quote)
        told, self._rejecting = self._rejecting, code != 0
        if code == 0:
            self.last = quote
            return ""
        return "" if told else REASONS[code]

    def beside(self, trade: Trade) -> Quote | None:
        """The quote of a trade: the last one, or for a trade fetched by REST its spread around the trade's price."""
        quote = self.last
        if quote is None or trade.received:
            return quote
        half = (quote.ask - quote.bid) / (quote.ask + quote.bid)
        return Quote(
            trade.ts, trade.price * (1.0 - half), trade.price * (1.0 + half), quote.bid_size, quote.ask_size
        )

    def save(self) -> dict[str, Any]:
        """What is remembered, as JSON values."""
        last = None if self.last is None else msgspec.structs.astuple(self.last)
        return {"last": last, "wanted": self._wanted, "since": self._since, "rejecting": self._rejecting}

    def load(self, saved: dict[str, Any]) -> None:
        """Go on from what `save` returned."""
        self.last = None if saved["last"] is None else Quote(*saved["last"])
        self._wanted, self._since = saved["wanted"], saved["since"]
        self._rejecting = saved["rejecting"]


def _judge(quote: Quote) -> int:
    """What is wrong with a quote by itself, a place in `REASONS`, 0 where nothing is."""
    if not (0.0 < quote.bid < math.inf and 0.0 < quote.ask < math.inf):
        return QUOTE
    if quote.bid > quote.ask:
        return CROSSED
    if not (0.0 <= quote.bid_size <= MOST_SIZE and 0.0 <= quote.ask_size <= MOST_SIZE):
        return SIZE
    return 0
