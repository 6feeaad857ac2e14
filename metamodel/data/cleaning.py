"""Which rows of a market feed may be believed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.metamodel.base import rows
from windvane.metamodel.data.columns import REAL, Columns

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
BACKSTEP = 5 * SECOND
"""ns by which time may step back and is still raised to the last one."""
MAX_HOLES = 1000
"""Holes kept one by one; the count goes on."""
MOST = rows.MOST_SIZE
"""No market has a size above it, and the square of a sum of such sizes still is a number."""

REASONS = (
    "accepted",
    "price is not a positive number",
    "time is not positive",
    "bid or ask is not a positive number",
    "crossed book: bid above ask",
    "a size is negative, not a number or above 1e18",
    "duplicate",
    "time went back",
    "time jumped far ahead",
    "price jumped by more than a factor of 2",
    "bid or ask is more than a factor of 2 from the price",
)
ACCEPTED, PRICE, TIME, QUOTE, CROSSED, SIZE, DUPLICATE, BACK, AHEAD, SPIKE, FAR = range(len(REASONS))

# Slots of the integer state.
_SEEN, _HAVE, _LAST_TS, _HAVE_PREV, _PREV_TS, _HAVE_ID, _LAST_ID, _JUMPS, _JUMP_TS = range(9)
_STEPPED, _HOLES = 9, 10
_INTS = 11
# Slots of the float state: last good price, then the 7 float columns of the previous row.
_LAST_PRICE, _PREV = 0, 1
_FLOATS = _PREV + len(REAL)
_PRICE, _SIZE, _BID, _ASK, _BID_SIZE, _ASK_SIZE, _BUY_SIZE = range(len(REAL))


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What came of one batch of n rows.

    columns: the accepted rows, ts non-decreasing. kept: (a,) and index: (r,) int64, arrival numbers (from 0,
    counted over all batches) of the accepted and the rejected rows. code: (r,) int64, positions in `REASONS`.
    """

    columns: Columns
    kept: Ints
    index: Ints
    code: Ints

    @property
    def reasons(self) -> list[str]:
        """One sentence for every rejected row."""
        return [REASONS[code] for code in self.code]


class Cleaner:
    """Steps through rows in arrival order; any cut into batches gives the same result.

    1. By itself, a row needs: price, bid and ask finite and positive, bid <= ask, each at least half and at
       most twice the price (an account is valued and filled at quotes), sizes from 0 to `MOST`, a positive
       time.
    2. Duplicates. Of bars of the same ts the first wins. A trade whose id is not above the last one is a
       duplicate. Without ids, a row equal to the one before it in all columns is.
    3. Time that goes back by at most 5 s is raised to the last good one and counted in `stepped_back`; by
       more, the row is rejected. A bar is never raised (it would equal the last one): earlier than the last
       is rejected.
    4. A time ahead of the last good one by more than `max_jump` is believed after three such rows in a row,
       each within `max_jump` of the one before: one absurd time must not put all that follows in the past. A
       hole that long costs two rows; a wrong time less far ahead is believed and costs all rows up to it.
    5. A price is refused if |ln(p / last good)| > ln 2 and believed after three refused in a row that lie
       within 10 % of each other (`rows.judge`): the third is accepted, the first two stay rejected. The first row
       has no last good one and is accepted; if it was absurd, the same rule recovers from it.
    A hole is a distance of more than `stale_after` between two accepted rows.
    """

    def __init__(
        self, *, bar_interval: int = 0, stale_after: int | None = None, max_jump: int | None = None
    ) -> None:
        """All in ns. bar_interval: 0 for ticks and trades. stale_after: by default max(10 bars, 60 s).
        max_jump: by default max(100 bars, 1 hour); of ticks that are further apart, 100 of their distances
        should be given.
        """
        self.bar_interval = bar_interval
        self.stale_after = max(10 * bar_interval, 60 * SECOND) if stale_after is None else stale_after
        self.max_jump = max(100 * bar_interval, HOUR) if max_jump is None else max_jump
        self._ints = np.zeros(_INTS, np.int64)
        self._floats = np.zeros(_FLOATS, np.float64)
        self._refused = rows.nothing_refused()
        self._counts = np.zeros(len(REASONS), np.int64)
        self._holes = np.zeros((MAX_HOLES, 2), np.int64)

    def clean(self, columns: Columns, ids: Ints | None = None) -> Cleaned:
        """Sort n rows into good and bad; ids: (n,) int64 trade ids, rising, of the rows."""
        n = len(columns)
        first = int(self._ints[_SEEN])
        ts, values, there, _ = columns.matrix()
        code = np.empty(n, np.int64)
        _clean(
            ts,
            values,
            there,
            np.empty(0, np.int64) if ids is None else np.array(ids),
            self.bar_interval > 0,
            self.stale_after,
            self.max_jump,
            self._ints,
            self._floats,
            self._refused,
            self._counts,
            self._holes,
            code,
        )
        good = np.flatnonzero(code == ACCEPTED)
        bad = np.flatnonzero(code)
        chosen = {name: getattr(columns, name)[good] for name in columns.present}
        return Cleaned(Columns(ts[good], columns.price[good], **chosen), good + first, bad + first, code[bad])

    @property
    def seen(self) -> int:
        """Rows so far, good and bad."""
        return int(self._ints[_SEEN])

    @property
    def counts(self) -> dict[str, int]:
        """Rows so far by what became of them."""
        return {reason: int(count) for reason, count in zip(REASONS, self._counts, strict=True)}

    @property
    def stepped_back(self) -> int:
        """Accepted rows whose time was raised to the last one."""
        return int(self._ints[_STEPPED])

    @property
    def holes_count(self) -> int:
        return int(self._ints[_HOLES])

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The first `MAX_HOLES` holes: ts in ns of the last row before and of the first after."""
        return [(int(a), int(b)) for a, b in self._holes[: min(self.holes_count, MAX_HOLES)]]

    def state(self) -> dict[str, Floats | Ints]:
        """Copies of all that is remembered, by name."""
        holes = self._holes[: min(self.holes_count, MAX_HOLES)]
        return {
            "ints": self._ints.copy(),
            "floats": self._floats.copy(),
            "refused.n": self._refused.n.copy(),
            "refused.price": self._refused.price.copy(),
            "counts": self._counts.copy(),
            "holes": holes.copy(),
        }

    def restore(self, state: dict[str, Floats | Ints]) -> None:
        """Go on from what `state` returned."""
        self._ints[:] = state["ints"]
        self._floats[:] = state["floats"]
        self._refused.n[:] = state["refused.n"]
        self._refused.price[:] = state["refused.price"]
        self._counts[:] = state["counts"]
        self._holes[: len(state["holes"])] = state["holes"]


@kernel
def _positive(x: float) -> bool:
    return 0.0 < x < np.inf


@kernel
def _local(ts: Ints, values: Floats, there: Ints, i: int) -> int:
    """Rule 1 on row i."""
    if not _positive(values[_PRICE, i]):
        return PRICE
    if ts[i] <= 0:
        return TIME
    if (there[_BID] and not _positive(values[_BID, i])) or (there[_ASK] and not _positive(values[_ASK, i])):
        return QUOTE
    if there[_BID] and there[_ASK] and values[_BID, i] > values[_ASK, i]:
        return CROSSED
    half, twice = 0.5 * values[_PRICE, i], 2.0 * values[_PRICE, i]
    for k in (_BID, _ASK):
        if there[k] and not half <= values[k, i] <= twice:
            return FAR
    for k in (_SIZE, _BID_SIZE, _ASK_SIZE, _BUY_SIZE):
        if there[k] and not 0.0 <= values[k, i] <= MOST:
            return SIZE
    return ACCEPTED


@kernel
def _same(row: Floats, values: Floats, i: int) -> bool:
    """Whether row i equals the remembered one, which it then replaces."""
    equal = True
    for k in range(row.size):
        equal = equal and row[k] == values[k, i]
        row[k] = values[k, i]
    return equal


@kernel
def _clean(
    ts: Ints,
    values: Floats,
    there: Ints,
    ids: Ints,
    bars: bool,
    stale_after: int,
    max_jump: int,
    s: Ints,
    f: Floats,
    refused: rows.Refused,
    counts: Ints,
    holes: Ints,
    out_code: Ints,
) -> None:
    """Judge the rows, fill out_code and raise ts where time stepped back."""
    for i in range(ts.size):
        code = _local(ts, values, there, i)
        now = ts[i]
        if code == ACCEPTED:
            same = _same(f[_PREV:], values, i)
            repeated = same and s[_HAVE_PREV] == 1 and s[_PREV_TS] == now
            s[_HAVE_PREV] = 1
            s[_PREV_TS] = now
            if bars:
                repeated = repeated or (s[_HAVE] == 1 and now == s[_LAST_TS])
            elif ids.size:
                repeated = s[_HAVE_ID] == 1 and ids[i] <= s[_LAST_ID]
                if not repeated:
                    s[_HAVE_ID] = 1
                    s[_LAST_ID] = ids[i]
            if repeated:
                code = DUPLICATE
        if code == ACCEPTED and s[_HAVE] == 1:
            ahead = now - s[_LAST_TS]
            if ahead < 0 and (bars or -ahead > BACKSTEP):
                code = BACK
            elif ahead > max_jump:
                step = now - s[_JUMP_TS]
                follows = s[_JUMPS] > 0 and 0 <= step <= max_jump and not (bars and step == 0)
                s[_JUMPS] = s[_JUMPS] + 1 if follows else 1
                s[_JUMP_TS] = now
                if s[_JUMPS] < 3:
                    code = AHEAD
            else:
                s[_JUMPS] = 0
        if code == ACCEPTED and s[_HAVE] == 1:
            price, last = values[_PRICE, i], f[_LAST_PRICE]
            if bars and refused.n[0] > 0 and now == refused.n[1] and not rows.same_level(price, last):
                code = DUPLICATE
            elif rows.judge(refused, now, price, last) == rows.REFUSED:
                code = SPIKE
        out_code[i] = code
        counts[code] += 1
        s[_SEEN] += 1
        if code != ACCEPTED:
            continue
        if s[_HAVE] == 1:
            if now < s[_LAST_TS]:
                ts[i] = s[_LAST_TS]
                s[_STEPPED] += 1
            elif now - s[_LAST_TS] > stale_after:
                if s[_HOLES] < MAX_HOLES:
                    holes[s[_HOLES], 0] = s[_LAST_TS]
                    holes[s[_HOLES], 1] = now
                s[_HOLES] += 1
        s[_HAVE] = 1
        s[_LAST_TS] = ts[i]
        f[_LAST_PRICE] = values[_PRICE, i]
        s[_JUMPS] = 0
