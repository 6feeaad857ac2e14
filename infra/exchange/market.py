"""Market: what has happened by now in a capture that is played at its own or another speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from windvane.infra.exchange.capture import FRAME, QUOTE, TRADE, Capture

_HEADS = {TRADE: "aggTrade", QUOTE: "bookTicker"}


class Served(NamedTuple):
    """One event as it goes out: the stream's name and what stands in it as JSON; a recorded frame has both in one."""

    stream: str
    data: str
    trade: bool
    whole: bool = False


class Market:
    """The clock of the exchange, and all that happened until now.

    The clock starts `begin` seconds into the capture and runs `speed` times as fast as a wall clock. Event k of round r
    (0 unless looped) has the place r * n + k; each round is moved by the capture's length, and its ids go on.
    """

    def __init__(self, capture: Capture, speed: float, begin: float, loop: bool) -> None:
        self.capture = capture
        self.speed = speed
        self.loop = loop
        self._first = int(capture.at[0]) + int(begin * 1e9)
        self._t0 = time.monotonic_ns()
        t, q = capture.trades, capture.quotes
        self._at = capture.at
        self._kind, self._row = capture.kind.tolist(), capture.row.tolist()
        self._trades = list(
            zip(
                t.id.tolist(),
                t.ms.tolist(),
                t.price.tolist(),
                t.qty.tolist(),
                t.buyer.tolist(),
                t.fills.tolist(),
                strict=True,
            )
        )
        self._quotes = list(zip(q.update.tolist(), q.ms.tolist(), q.values.tolist(), strict=True))
        self._updates = int(q.update[-1] - q.update[0]) + 1 if len(q.update) else 0
        lower = capture.native.lower()
        self._streams = {kind: f"{lower}@{name}" for kind, name in _HEADS.items()}
        self._write: dict[int, Callable[[int, int], Served]] = {
            TRADE: self._trade,
            QUOTE: self._quote,
            FRAME: self._frame,
        }

    def start(self) -> None:
        """The clock starts now."""
        self._t0 = time.monotonic_ns()

    def now(self) -> int:
        """ns, the exchange's time."""
        return self._first + int((time.monotonic_ns() - self._t0) * self.speed)

    def position(self, now: int) -> int:
        """The place of the first event after `now` ns."""
        n, span = len(self._at), self.capture.span
        rounds = max(0, (now - int(self._at[0])) // span) if self.loop else 0
        return int(rounds * n + np.searchsorted(self._at, now - rounds * span, side="right"))

    def over(self, position: int) -> bool:
        """Whether nothing happens any more."""
        return not self.loop and position >= len(self._at)

    def event(self, position: int) -> Served:
        """The event at a place."""
        rounds, k = divmod(position, len(self._kind))
        return self._write[self._kind[k]](self._row[k], rounds)

    def trades_from(self, first: int, now: int, limit: int) -> list[dict[str, object]]:
        """At most `limit` trades from an id on, that happened by `now`, as answers of aggTrades hold them."""
        n = len(self._trades)
        index = max(0, first - self._trades[0][0]) if n else 0
        out: list[dict[str, object]] = []
        while n and len(out) < limit and (self.loop or index < n):
            rounds, k = divmod(index, n)
            trade = self._as_trade(k, rounds)
            if trade["T"] > now // 1_000_000:  # type: ignore[operator]
                break
            out.append(trade)
            index += 1
        return out

    def first_since(self, ms: int) -> int:
        """The id of the first trade at or after a time; ids of a capture are in the order of its times but for
        little."""
        shift = self.capture.span // 1_000_000
        times = np.maximum.accumulate(self.capture.trades.ms)
        if not len(times):
            return 0
        rounds = max(0, (ms - int(times[0])) // shift) if self.loop else 0
        index = rounds * len(times) + int(np.searchsorted(times, ms - rounds * shift))
        return int(self.capture.trades.id[0]) + index

    def _as_trade(self, k: int, rounds: int) -> dict[str, object]:
        number, ms, price, qty, buyer, fills = self._trades[k]
        n, moved = len(self._trades), rounds * self.capture.span // 1_000_000
        return {
            "a": number + rounds * n,
            "p": _plain(price),
            "q": _plain(qty),
            "f": fills[0],
            "l": fills[1],
            "T": ms + moved,
            "m": not buyer,
            "M": True,
        }

    def _trade(self, k: int, rounds: int) -> Served:
        number, ms, price, qty, buyer, fills = self._trades[k]
        number, ms = number + rounds * len(self._trades), ms + rounds * self.capture.span // 1_000_000
        data = (
            f'{{"e":"aggTrade","E":{ms},"s":"{self.capture.native}","a":{number},"p":"{_plain(price)}","q":"{_plain(qty)}",'
            f'"f":{fills[0]},"l":{fills[1]},"T":{ms},"m":{"false" if buyer else "true"}}}'
        )
        return Served(self._streams[TRADE], data, True)

    def _quote(self, k: int, rounds: int) -> Served:
        update, ms, (bid, bid_size, ask, ask_size) = self._quotes[k]
        update, ms = update + rounds * self._updates, ms + rounds * self.capture.span // 1_000_000
        timed = f'"e":"bookTicker","T":{ms},"E":{ms},' if self.capture.exchange == "binanceusdm" else ""
        data = (
            f'{{{timed}"u":{update},"s":"{self.capture.native}","b":"{_plain(bid)}","B":"{_plain(bid_size)}",'
            f'"a":"{_plain(ask)}","A":"{_plain(ask_size)}"}}'
        )
        return Served(self._streams[QUOTE], data, False)

    def _frame(self, k: int, rounds: int) -> Served:
        stream, frame = self.capture.frames[k]
        return Served(stream, frame.decode(errors="replace"), stream.endswith("@aggTrade"), whole=True)


def _plain(x: float) -> str:
    """A number as the exchange writes it, without an exponent."""
    text = repr(x)
    return f"{x:.8f}" if "e" in text else text
