"""Sequencer: trades once each and in the order of their ids, and every id that is missing known."""

from __future__ import annotations

from collections import OrderedDict, deque

from windvane.infra.feeds.feed import Counts, Gap, Trade

WINDOW = 0.25
"""Seconds for which a missing id may still come by itself: what arrives out of order is a matter of milliseconds."""
PATIENCE = 5.0
"""Seconds for which the time waits for a missing trade, whose bar it would close without it."""
MOST_HELD = 5_000
"""Trades held back for a missing one before it is asked for without waiting."""
MOST_HOLE = 1_000_000
"""Ids ahead of the last one beyond which a trade is not believed at once: a digit too many would silence the feed."""
MOST_REMEMBERED = 8_192
"""Ids remembered where they are not dense: more than any exchange repeats when a subscription begins."""
AGREE = 3
"""So many trades in a row from another place in the numbering are believed, as with absurd prices."""


class Sequencer:
    """For exchanges whose ids rise by one a trade. It has no clock: seconds of any one clock are passed in.

    `push` returns what can go on: nothing while an id before it is missing. `hole` says which ids to fetch, once they
    have had `WINDOW` seconds to come by themselves; they are pushed like any other, and what cannot be fetched is
    declared by `skip`.
    """

    def __init__(self, counts: Counts, last: int | None = None) -> None:
        """last: id of the last trade that the caller has, None where it begins with whatever comes first."""
        self.last = last
        self._counts = counts
        self._last_ts = 0
        self._held: dict[int, Trade] = {}
        self._since = 0.0
        self._strays: list[Trade] = []

    def push(self, trade: Trade, now: float) -> list[Trade | Gap]:
        """Return the trades that follow without a hole; now: seconds."""
        if self.last is None or trade.id == self.last + 1:
            self._strays.clear()
            return self._release(trade)
        if abs(trade.id - self.last) > MOST_HOLE:
            return self._judge(trade)
        if trade.id <= self.last or trade.id in self._held:
            self._counts.duplicates += 1
            return []
        if not self._held:
            self._since = now
        self._held[trade.id] = trade
        return []

    def holds(self, now: float) -> bool:
        """Whether trades have been held back for a missing one, for `PATIENCE` seconds at most."""
        return bool(self._held) and now - self._since < PATIENCE

    def hole(self, now: float) -> tuple[int, int] | None:
        """The first and last id that are missing and are to be fetched now, None where nothing is."""
        if self._held and (now - self._since >= WINDOW or len(self._held) > MOST_HELD):
            return self._hole()
        return None

    def skip(self, reason: str) -> list[Trade | Gap]:
        """Declare what is missing before the trades that are held back, and let those go on."""
        if not self._held:
            return []
        first, last = self._hole()
        trade = self._held.pop(last + 1)
        self._counts.gaps += 1
        return [Gap(first, last, self._last_ts, trade.ts, reason), *self._release(trade)]

    def _hole(self) -> tuple[int, int]:
        assert self.last is not None  # noqa: S101 - something is held only after something came
        return self.last + 1, min(self._held) - 1

    def _release(self, trade: Trade) -> list[Trade | Gap]:
        out: list[Trade | Gap] = [trade]
        if self._held:
            while (following := self._held.pop(trade.id + 1, None)) is not None:
                self._counts.reordered += 1
                out.append(following)
                trade = following
        self.last, self._last_ts = trade.id, trade.ts
        self._counts.trades += len(out)
        return out

    def _judge(self, trade: Trade) -> list[Trade | Gap]:
        """Believe another place in the numbering once `AGREE` trades follow each other there."""
        if self._strays and trade.id != self._strays[-1].id + 1:
            self._strays.clear()
        self._strays.append(trade)
        if len(self._strays) < AGREE:
            return []
        strays, self._strays, before = self._strays, [], self.last
        assert before is not None  # noqa: S101 - only a later trade can be a stray
        ahead = strays[0].id > before
        first, last = (before + 1, strays[0].id - 1) if ahead else (0, 0)
        reason = f"the exchange's ids went from {before} to {strays[0].id}"
        out: list[Trade | Gap] = [Gap(first, last, self._last_ts, strays[0].ts, reason)]
        self._counts.gaps += 1
        self._held.clear()
        for stray in strays:
            out += self._release(stray)
        return out


class Overlap:
    """For exchanges whose ids say nothing about what is missing: a break is filled where what the exchange lists as its
    latest trades reaches back to the last one that was seen.
    """

    def __init__(self, counts: Counts, last: int | None = None) -> None:
        self.last = last
        self._counts = counts
        self._last_ts = 0
        self._seen: OrderedDict[object, None] = OrderedDict()
        self._broken = last is not None
        self._held: deque[tuple[Trade, object]] = deque()

    @property
    def broken(self) -> bool:
        """Whether a break has not been filled or declared yet; trades are held back meanwhile."""
        return self._broken

    @property
    def last_ts(self) -> int:
        """ns, the time of the last trade that went on, 0 before the first."""
        return self._last_ts

    def interrupt(self) -> None:
        """The connection broke: from here on trades may be missing."""
        self._broken = self.last is not None

    def push(self, trade: Trade, key: object) -> list[Trade | Gap]:
        """Return the trade where it is new; key: what the exchange calls it, a number or a text."""
        if self._broken:
            self._held.append((trade, key))
            return []
        return self._new(trade, key)

    def fill(self, latest: list[tuple[Trade, object]], reason: str) -> list[Trade | Gap]:
        """End a break with the latest trades by REST, oldest first; a Gap where they do not reach back."""
        out: list[Trade | Gap] = []
        reaches = any(key in self._seen or trade.id == self.last for trade, key in latest)
        after = [(t, k) for t, k in latest if self.last is None or t.id > self.last]
        held, self._held = self._held, deque()
        self._broken = False
        if not reaches:
            first = after[0][0] if after else held[0][0] if held else None
            out.append(Gap(0, 0, self._last_ts, first.ts if first else 0, reason))
            self._counts.gaps += 1
        for trade, key in after:
            new = self._new(trade, key)
            self._counts.fetched += len(new)
            out += new
        for trade, key in held:
            out += self._new(trade, key)
        return out

    def _new(self, trade: Trade, key: object) -> list[Trade | Gap]:
        if key in self._seen:
            self._counts.duplicates += 1
            return []
        self._seen[key] = None
        if len(self._seen) > MOST_REMEMBERED:
            self._seen.popitem(last=False)
        if self.last is not None and trade.id <= self.last:
            self._counts.gaps += 1
            return [Gap(trade.id, trade.id, trade.ts, self._last_ts, "the trade came after later ones")]
        self.last, self._last_ts = trade.id, trade.ts
        self._counts.trades += 1
        return [trade]
