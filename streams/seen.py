"""What a book remembers of its rows, so that a copy of a row is told from another row that has the same seq.

Copies are the daily bread of a log that delivers at least once, and are dropped without a word. Another row of a seq
that was worked off means that the feed has begun anew, or that the row came after it was given up: that is told.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from windvane.streams.events import Ticks

FIRST, LATEST, GIVEN_UP = 16, 256, 64
"""How many rows are remembered: the first ones of a book, the latest ones, and the latest ranges that were given up.

A feed that starts again is seen at its first rows. Rows between those are judged by their time alone.
"""

_UNKNOWN = np.iinfo(np.int64).min
"""In place of the time of a row that is not remembered, or that was given up."""


class Seen:
    """Times and prices of the rows of one book, as they came."""

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        saved = saved or {}
        self._first_ts = _kept(saved, "seen.first_ts", np.full(FIRST, _UNKNOWN))
        self._first_price = _kept(saved, "seen.first_price", np.zeros(FIRST))
        self._ts = _kept(saved, "seen.ts", np.full(LATEST, _UNKNOWN))  # by seq modulo LATEST
        self._price = _kept(saved, "seen.price", np.zeros(LATEST))
        self._given_up = _kept(saved, "seen.given_up", np.full((GIVEN_UP, 2), -1))  # first, last; -1: none

    def save(self) -> dict[str, Any]:
        """The fields of a stored state."""
        return {
            "seen.first_ts": self._first_ts,
            "seen.first_price": self._first_price,
            "seen.ts": self._ts,
            "seen.price": self._price,
            "seen.given_up": self._given_up,
        }

    def save_ends(self, next_seq: int) -> dict[str, Any]:
        """What is kept of a closed book, as JSON values: its first rows, and its last one."""
        last = (next_seq - 1) % LATEST
        return {
            "next_seq": next_seq,
            "last_ts": int(self._ts[last]),
            "last_price": float(self._price[last]),
            "first_ts": self._first_ts.tolist(),
            "first_price": self._first_price.tolist(),
        }

    @staticmethod
    def of_ends(ends: Mapping[str, Any]) -> "Seen":
        """The memory of a closed book, from what `save_ends` returned."""
        seen = Seen()
        seen._first_ts[:], seen._first_price[:] = ends["first_ts"], ends["first_price"]
        last = (ends["next_seq"] - 1) % LATEST
        seen._ts[last], seen._price[last] = ends["last_ts"], ends["last_price"]
        return seen

    def keep(self, rows: Ticks) -> None:
        """Remember rows that are worked off; they go on where the last ones ended."""
        first = rows.first
        if first < FIRST:
            n = min(FIRST - first, len(rows))
            self._first_ts[first : first + n] = rows.ts[:n]
            self._first_price[first : first + n] = rows.price[:n]
        places = rows.seq[-LATEST:] % LATEST
        self._ts[places], self._price[places] = rows.ts[-LATEST:], rows.price[-LATEST:]

    def give_up(self, first: int, last: int) -> None:
        """Remember that the rows first <= seq <= last are given up."""
        self._given_up = np.roll(self._given_up, 1, axis=0)
        self._given_up[0] = first, last
        self._ts[np.arange(max(first, last - LATEST + 1), last + 1) % LATEST] = _UNKNOWN

    def late(self, rows: Ticks) -> bool:
        """Whether rows were given up before they came; said once of each range that was given up."""
        starts, stops = self._given_up[:, 0], self._given_up[:, 1]
        found = (starts <= rows.last) & (stops >= rows.first) & (starts >= 0)
        if not found.any():
            return False
        self._given_up = self._given_up.copy()
        self._given_up[found] = -1
        return True

    def others(self, rows: Ticks, next_seq: int) -> bool:
        """Whether any of these rows, all below `next_seq`, is another one than the row of its seq that is remembered.

        Of a seq that is not remembered, a row is another one where it is later than the last row.
        """
        seq, ts, price = rows.seq, rows.ts, rows.price
        place, early = seq % LATEST, np.minimum(seq, FIRST - 1)
        known_ts = np.where(seq < FIRST, self._first_ts[early], self._ts[place])
        known_price = np.where(seq < FIRST, self._first_price[early], self._price[place])
        remembered = ((seq < FIRST) | (seq >= next_seq - LATEST)) & (known_ts != _UNKNOWN)
        if (remembered & ((ts != known_ts) | (price != known_price))).any():
            return True
        last = int(self._ts.max())
        return last != _UNKNOWN and bool((~remembered & (ts > last)).any())


def _kept(saved: Mapping[str, Any], name: str, fresh: np.ndarray) -> np.ndarray:
    """A stored array that may be written to, or the one of a new book."""
    return np.array(saved[name]) if name in saved else fresh
