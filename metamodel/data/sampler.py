"""BarSampler: makes bars of ticks, trades or shorter bars, by event time alone."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base.times import DAY
from windvane.metamodel.data.columns import OPTIONAL, OPTIONAL_FLOATS, REAL, Columns

_UNITS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": DAY,
}

# Places of State.ints: the open bucket; whether it has a row; the first bucket that is not closed yet; rows that came
# late; unfinished bars that were dropped; whether there was a row; the regime of the last row.
_BUCKET, _OPEN, _NEXT, _LATE, _DROPPED, _STARTED, _REGIME = range(7)
_PRICE, _SIZE, _BUY_SIZE = REAL.index("price"), REAL.index("size"), REAL.index("buy_size")


class State(NamedTuple):
    """What the kernel remembers."""

    ints: Ints  # (7,) buckets and counts
    floats: Floats  # (7,) the open bar, in the order of `REAL`


class Grid(NamedTuple):
    """How rows are sorted into bars."""

    interval: int  # ns of a bar
    bars: bool  # whether the rows are bars themselves, whose ts is their end


class Rows(NamedTuple):
    """Rows or bars, as `Columns.matrix` returns them."""

    ts: Ints  # (n,)
    values: Floats  # (7, n)
    regime: Ints  # (n,)


def parse_interval(text: str) -> int:
    """ns of an interval such as '250ms', '30s', '15m', '1h' or '1d'; raises ValueError where it is none."""
    match = re.fullmatch(r"([1-9]\d{0,8})(ms|s|m|h|d)", text.strip())
    interval = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < interval <= 366 * _UNITS["d"]:
        raise ValueError(
            f"{text!r} is not an interval: write a number and ms, s, m, h or d, such as 15m or 1h"
        )
    return interval


def format_interval(interval: int) -> str:
    """Return the shortest text that `parse_interval` reads as `interval` ns."""
    for unit in ("d", "h", "m", "s", "ms"):
        if interval % _UNITS[unit] == 0:
            return f"{interval // _UNITS[unit]}{unit}"
    return f"{interval} ns"


class BarSampler:
    """Makes the same bars of a live feed and of a backtest: they depend on the events, not on clocks or on how the rows
    are cut into batches.

    A bar covers [k I, (k + 1) I). Its row: ts = (k + 1) I, the sums of size and buy_size, the last of
    everything else. Empty bars are never sent.

    Of ticks and trades, a bar closes at the first event at or past its end: a row of a later bar, or a
    heartbeat. Of bars (ts = their end, so they belong to the bucket of ts - 1 ns), it closes at the bar that
    ends with it; where that one is missing, at a later bar, or at a heartbeat one source bar past the end,
    since a venue sends a bar a little after it ended.

    Rows come with ts that does not fall (as a Cleaner leaves them). A row that a heartbeat has overtaken
    counts in the first bar not closed yet, and in `late`.
    """

    def __init__(self, interval: int, source_interval: int = 0) -> None:
        """interval: ns of a bar. source_interval: ns of the bars that come in, 0 for ticks and trades.

        Raises ValueError where an interval is not positive, or bars of the one do not add up to bars of the other.
        """
        if interval <= 0 or source_interval < 0:
            raise ValueError(f"a bar of {interval} ns from {source_interval} ns: intervals must be positive")
        if source_interval and interval % source_interval:
            raise ValueError(
                f"bars of {format_interval(source_interval)} do not add up to bars of "
                f"{format_interval(interval)}: ask for a multiple of {format_interval(source_interval)}"
            )
        self.interval = interval
        self.source_interval = source_interval
        self._present: tuple[str, ...] | None = None
        self._state = State(np.zeros(_REGIME + 1, np.int64), np.zeros(len(REAL)))

    def push(self, rows: Columns) -> Columns:
        """Add n rows, and return the bars that they close; raises ValueError where the feed changes its columns."""
        if self._present is None:
            self._present = rows.present
        elif rows.present != self._present:
            raise ValueError(f"columns {rows.present} came after {self._present}: a feed keeps its columns")
        ts, values, _, regime = rows.matrix()
        # One batch of n rows closes at most n + 1 bars: the open one, and one with each row.
        most = len(rows) + 1
        out = Rows(np.empty(most, np.int64), np.empty((len(REAL), most)), np.empty(most, np.int64))
        grid = Grid(self.interval, self.source_interval > 0)
        count = _push(Rows(ts, values, regime), grid, self._state, out)
        # Copies, or a handful of bars would keep the whole batch in memory.
        return self._columns(out.ts[:count].copy(), out.values[:, :count].copy(), out.regime[:count].copy())

    def heartbeat(self, ts: int) -> Columns:
        """Return the bar that is over by `ts` ns, the time of a feed that is silent."""
        over = (ts - self.source_interval) // self.interval
        s = self._state.ints
        count = 0
        if s[_STARTED] and over > s[_NEXT]:
            count = int(s[_OPEN])
            s[_NEXT] = over
            s[_OPEN] = 0
        return self._last(count)

    def finish(self, complete: bool = True) -> Columns:
        """End the input; where it is not complete, since it goes on after a restart, the open bar stays open.

        Nobody can tell whether rows of an open bar are missing, so it is dropped and counted in `dropped`:
        cutting off the future never changes a bar. Bars close by themselves at the one that ends with them.
        """
        if complete:
            s = self._state.ints
            s[_DROPPED] += s[_OPEN]
            s[_OPEN] = 0
        return self._last(0)

    @property
    def late(self) -> int:
        """Number of rows that came after a heartbeat had closed their bar."""
        return int(self._state.ints[_LATE])

    @property
    def dropped(self) -> int:
        """Unfinished last bars that were not sent."""
        return int(self._state.ints[_DROPPED])

    def state(self) -> dict[str, Floats | Ints]:
        """Return copies of everything that is remembered between calls, by name."""
        present = [-1] if self._present is None else [int(name in self._present) for name in OPTIONAL]
        return {
            "ints": self._state.ints.copy(),
            "floats": self._state.floats.copy(),
            "present": np.array(present, np.int64),
        }

    def restore(self, state: dict[str, Floats | Ints]) -> None:
        """Replace what is remembered by what `state` of another sampler with the same interval returned."""
        self._state.ints[:] = state["ints"]
        self._state.floats[:] = state["floats"]
        present = state["present"]
        if len(present) == len(OPTIONAL):
            self._present = tuple(name for name, there in zip(OPTIONAL, present, strict=True) if there)
        else:
            self._present = None

    def _last(self, count: int) -> Columns:
        """The open bar (count 1) or no row (count 0)."""
        s = self._state.ints
        ts = np.full(count, (s[_BUCKET] + 1) * self.interval, np.int64)
        return self._columns(
            ts, self._state.floats[:, None][:, :count].copy(), np.full(count, s[_REGIME], np.int64)
        )

    def _columns(self, ts: Ints, values: Floats, regime: Ints) -> Columns:
        present = self._present or ()
        chosen = {name: values[1 + k] for k, name in enumerate(OPTIONAL_FLOATS) if name in present}
        return Columns(ts, values[_PRICE], **chosen, regime=regime if "regime" in present else None)


@kernel
def _push(rows: Rows, grid: Grid, state: State, out: Rows) -> int:
    """Fill `out`, n + 1 rows, with the bars that n rows close; returns how many."""
    s, f, m = state.ints, state.floats, 0
    for i in range(rows.ts.size):
        ts = rows.ts[i]
        k = (ts - 1) // grid.interval if grid.bars else ts // grid.interval
        if s[_STARTED] == 0:
            s[_STARTED], s[_NEXT] = 1, k
        if k < s[_NEXT]:
            k = s[_NEXT]
            s[_LATE] += 1
        if k > s[_NEXT]:
            if s[_OPEN] == 1:
                m = _emit(state, grid.interval, m, out)
            s[_NEXT] = k
        if s[_OPEN] == 0:
            s[_OPEN], s[_BUCKET] = 1, k
            f[:] = 0.0
        for c in range(f.size):
            if c in (_SIZE, _BUY_SIZE):
                f[c] += rows.values[c, i]
            else:
                f[c] = rows.values[c, i]
        s[_REGIME] = rows.regime[i]
        if grid.bars and ts == (k + 1) * grid.interval:
            m = _emit(state, grid.interval, m, out)
            s[_NEXT] = k + 1
    return m


@inlined
def _emit(state: State, interval: int, m: int, out: Rows) -> int:
    """Write the open bar as row m and close it; returns m + 1."""
    s = state.ints
    out.ts[m] = (s[_BUCKET] + 1) * interval
    out.values[:, m] = state.floats
    out.regime[m] = s[_REGIME]
    s[_OPEN] = 0
    return m + 1
