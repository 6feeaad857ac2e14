"""Cleaner: which rows of a market feed may be believed, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import rows
from windvane.metamodel.data.columns import REAL, Columns

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
BACKSTEP = 5 * SECOND
"""ns by which time may step back and is still raised to the last one."""
MAX_HOLES = 1000
"""So many holes are kept one by one; later ones are only counted."""

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

# Places of State.ints: rows seen; whether one was accepted, and the ts of the last; whether there was a sound row, and
# the ts of the last; whether an id was accepted, and the last; rows in a row that jumped ahead, and the ts of the last;
# rows that stepped back; holes.
_SEEN, _HAVE, _LAST_TS, _HAVE_PREV, _PREV_TS, _HAVE_ID, _LAST_ID, _JUMPS, _JUMP_TS, _STEPPED, _HOLES = range(
    11
)
# Places of State.floats: last accepted price, then the 7 float columns of the last sound row.
_LAST_PRICE, _PREV = 0, 1
_PRICE, _SIZE, _BID, _ASK, _BID_SIZE, _ASK_SIZE, _BUY_SIZE = range(len(REAL))


class State(NamedTuple):
    """What the kernel remembers."""

    ints: Ints  # (11,) counts and times
    floats: Floats  # (8,) prices and sizes
    refused: rows.Refused
    counts: Ints  # (11,) rows by what became of them
    holes: Ints  # (MAX_HOLES, 2) ts of the last row before a hole, and of the first after it


class Rules(NamedTuple):
    """What the kernel judges by."""

    bars: bool  # whether rows are bars, not ticks or trades
    stale_after: int  # ns between accepted rows above which there is a hole
    max_jump: int  # ns ahead of the last accepted row above which a time is not believed at once


class Batch(NamedTuple):
    """n rows, as `Columns.matrix` returns them."""

    ts: Ints  # (n,); a time that stepped back is raised here
    values: Floats  # (7, n)
    there: Ints  # (8,)
    ids: Ints  # (n,) trade ids, or (0,)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of one batch of n rows.

    columns: the accepted rows, ts non-decreasing. kept: (a,) and index: (r,) int64, arrival numbers (from 0,
    counted over all batches) of the accepted and the rejected rows. code: (r,) int64, places in `REASONS`.
    """

    columns: Columns
    kept: Ints
    index: Ints
    code: Ints

    @property
    def reasons(self) -> list[str]:
        """Return one sentence for every rejected row, in the order of `index`."""
        return [REASONS[code] for code in self.code]


class Cleaner:
    """Steps through rows in arrival order; the result does not depend on how they are cut into batches.

    1. By itself, a row needs: price, bid and ask finite and positive, bid <= ask, each at least half and at
       most twice the price (an account is valued and filled at quotes), sizes from 0 to `rows.MOST_SIZE`, a positive
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
        self._state = State(
            ints=np.zeros(_HOLES + 1, np.int64),
            floats=np.zeros(_PREV + len(REAL)),
            refused=rows.nothing_refused(),
            counts=np.zeros(len(REASONS), np.int64),
            holes=np.zeros((MAX_HOLES, 2), np.int64),
        )

    def clean(self, columns: Columns, ids: Ints | None = None) -> Cleaned:
        """Sort n rows into good and bad; ids: (n,) int64 trade ids, rising, of the rows, None where there are none."""
        first = self.seen
        ts, values, there, _ = columns.matrix()
        code = np.empty(len(columns), np.int64)
        batch = Batch(ts, values, there, np.empty(0, np.int64) if ids is None else np.array(ids))
        _clean(batch, Rules(self.bar_interval > 0, self.stale_after, self.max_jump), self._state, code)
        good = np.flatnonzero(code == ACCEPTED)
        bad = np.flatnonzero(code)
        chosen = {name: getattr(columns, name)[good] for name in columns.present}
        return Cleaned(Columns(ts[good], columns.price[good], **chosen), good + first, bad + first, code[bad])

    @property
    def seen(self) -> int:
        """Number of rows so far, accepted and rejected."""
        return int(self._state.ints[_SEEN])

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of rows so far, by what became of them: accepted, or rejected for a reason."""
        return {reason: int(count) for reason, count in zip(REASONS, self._state.counts, strict=True)}

    @property
    def stepped_back(self) -> int:
        """Number of accepted rows whose time was raised to that of the row before."""
        return int(self._state.ints[_STEPPED])

    @property
    def holes_count(self) -> int:
        """Holes so far, also those that are not kept."""
        return int(self._state.ints[_HOLES])

    @property
    def holes(self) -> list[tuple[int, int]]:
        """The first `MAX_HOLES` holes, each as the ts in ns of the last row before it and of the first one after it."""
        return [(int(a), int(b)) for a, b in self._state.holes[: min(self.holes_count, MAX_HOLES)]]

    def state(self) -> dict[str, Floats | Ints]:
        """Return copies of everything that `clean` remembers between calls, by name."""
        kept = self._state
        return {
            "ints": kept.ints.copy(),
            "floats": kept.floats.copy(),
            "refused.n": kept.refused.n.copy(),
            "refused.price": kept.refused.price.copy(),
            "counts": kept.counts.copy(),
            "holes": kept.holes[: min(self.holes_count, MAX_HOLES)].copy(),
        }

    def restore(self, state: dict[str, Floats | Ints]) -> None:
        """Replace what is remembered by what `state` of another Cleaner with the same settings returned."""
        kept = self._state
        kept.ints[:] = state["ints"]
        kept.floats[:] = state["floats"]
        kept.refused.n[:] = state["refused.n"]
        kept.refused.price[:] = state["refused.price"]
        kept.counts[:] = state["counts"]
        kept.holes[: len(state["holes"])] = state["holes"]


@kernel
def _positive(x: float) -> bool:
    return 0.0 < x < np.inf


@inlined
def _by_itself(batch: Batch, i: int) -> int:
    """What is wrong with row i, whatever came before it: rule 1."""
    values, there = batch.values, batch.there
    price, bid, ask = values[_PRICE, i], values[_BID, i], values[_ASK, i]
    if not _positive(price):
        return PRICE
    if batch.ts[i] <= 0:
        return TIME
    if (there[_BID] and not _positive(bid)) or (there[_ASK] and not _positive(ask)):
        return QUOTE
    if there[_BID] and there[_ASK] and bid > ask:
        return CROSSED
    if (there[_BID] and not rows.beside(price, bid)) or (there[_ASK] and not rows.beside(price, ask)):
        return FAR
    for k in (_SIZE, _BID_SIZE, _ASK_SIZE, _BUY_SIZE):
        if there[k] and not rows.sized(values[k, i]):
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


@inlined
def _is_duplicate(batch: Batch, bars: bool, state: State, i: int) -> bool:
    """Whether a row came before: rule 2. Remembers the row."""
    s, now = state.ints, batch.ts[i]
    equal = _same(state.floats[_PREV:], batch.values, i) and s[_HAVE_PREV] == 1 and s[_PREV_TS] == now
    s[_HAVE_PREV], s[_PREV_TS] = 1, now
    if bars:
        return equal or (s[_HAVE] == 1 and now == s[_LAST_TS])
    if batch.ids.size == 0:
        return equal
    if s[_HAVE_ID] == 1 and batch.ids[i] <= s[_LAST_ID]:
        return True
    s[_HAVE_ID], s[_LAST_ID] = 1, batch.ids[i]
    return False


@inlined
def _in_time(s: Ints, rules: Rules, now: int) -> int:
    """What is wrong with the time of a row after the last accepted one: rules 3 and 4."""
    ahead = now - s[_LAST_TS]
    if ahead < 0 and (rules.bars or -ahead > BACKSTEP):
        return BACK
    if ahead <= rules.max_jump:
        s[_JUMPS] = 0
        return ACCEPTED
    step = now - s[_JUMP_TS]
    follows = s[_JUMPS] > 0 and 0 <= step <= rules.max_jump and not (rules.bars and step == 0)
    s[_JUMPS] = s[_JUMPS] + 1 if follows else 1
    s[_JUMP_TS] = now
    return AHEAD if s[_JUMPS] < 3 else ACCEPTED


@inlined
def _on_level(refused: rows.Refused, bars: bool, now: int, price: float, last: float) -> int:
    """What is wrong with the price of a row after the last accepted one: rule 5, and rule 2 for refused bars."""
    if bars and refused.n[0] > 0 and now == refused.n[1] and not rows.same_level(price, last):
        return DUPLICATE
    return SPIKE if rows.judge(refused, now, price, last) == rows.REFUSED else ACCEPTED


@inlined
def _accept(batch: Batch, stale_after: int, state: State, i: int) -> None:
    """Go on from row i: raise its time where that stepped back, and count the hole that it ends."""
    s, now = state.ints, batch.ts[i]
    if s[_HAVE] == 1:
        if now < s[_LAST_TS]:
            batch.ts[i] = s[_LAST_TS]
            s[_STEPPED] += 1
        elif now - s[_LAST_TS] > stale_after:
            if s[_HOLES] < MAX_HOLES:
                state.holes[s[_HOLES], 0], state.holes[s[_HOLES], 1] = s[_LAST_TS], now
            s[_HOLES] += 1
    s[_HAVE], s[_LAST_TS], s[_JUMPS] = 1, batch.ts[i], 0
    state.floats[_LAST_PRICE] = batch.values[_PRICE, i]


@kernel
def _clean(batch: Batch, rules: Rules, state: State, out_code: Ints) -> None:
    """Judge the rows: fill out_code (n,) with places in REASONS, and raise ts where time stepped back."""
    s = state.ints
    for i in range(batch.ts.size):
        code, now, price = _by_itself(batch, i), batch.ts[i], batch.values[_PRICE, i]
        if code == ACCEPTED and _is_duplicate(batch, rules.bars, state, i):
            code = DUPLICATE
        if code == ACCEPTED and s[_HAVE] == 1:
            code = _in_time(s, rules, now)
        if code == ACCEPTED and s[_HAVE] == 1:
            code = _on_level(state.refused, rules.bars, now, price, state.floats[_LAST_PRICE])
        out_code[i] = code
        state.counts[code] += 1
        s[_SEEN] += 1
        if code == ACCEPTED:
            _accept(batch, rules.stale_after, state, i)
