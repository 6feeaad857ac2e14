"""Ticks, trades or shorter bars to bars, by event time alone."""

from __future__ import annotations

import re

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.metamodel.base.times import DAY
from windvane.metamodel.data.columns import OPTIONAL, OPTIONAL_FLOATS, REAL, Columns

_UNITS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": DAY,
}

# Slots of the state: the open bucket, whether it holds a row, the first bucket not closed yet, counters, last
# regime.
_BUCKET, _OPEN, _NEXT, _LATE, _DROPPED, _STARTED, _REGIME = range(7)
_INTS = 7
_PRICE, _SIZE, _BUY_SIZE = REAL.index("price"), REAL.index("size"), REAL.index("buy_size")


def parse_interval(text: str) -> int:
    """ns of '250ms', '30s', '15m', '1h' or '1d'."""
    match = re.fullmatch(r"([1-9]\d{0,8})(ms|s|m|h|d)", text.strip())
    interval = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < interval <= 366 * _UNITS["d"]:
        raise ValueError(
            f"{text!r} is not an interval: write a number and ms, s, m, h or d, such as 15m or 1h"
        )
    return interval


def format_interval(interval: int) -> str:
    """The shortest text that `parse_interval` reads as `interval` ns."""
    for unit in ("d", "h", "m", "s", "ms"):
        if interval % _UNITS[unit] == 0:
            return f"{interval // _UNITS[unit]}{unit}"
    return f"{interval} ns"


class BarSampler:
    """The same for a live feed and a backtest: what it sends depends on the events, not on clocks or on their
    cut.

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
        """interval: ns of a bar. source_interval: ns of the bars that come in, 0 for ticks and trades."""
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
        self._ints = np.zeros(_INTS, np.int64)
        self._floats = np.zeros(len(REAL), np.float64)

    def push(self, rows: Columns) -> Columns:
        """Take n rows, return the bars they close."""
        if self._present is None:
            self._present = rows.present
        elif rows.present != self._present:
            raise ValueError(f"columns {rows.present} came after {self._present}: a feed keeps its columns")
        ts, values, _, regime = rows.matrix()
        # One batch of n rows closes at most n + 1 bars: the open one, and one with each row.
        out_ts = np.empty(len(rows) + 1, np.int64)
        out = np.empty((len(REAL), len(rows) + 1), np.float64)
        out_regime = np.empty(len(rows) + 1, np.int64)
        count = _push(
            ts,
            values,
            regime,
            self.interval,
            self.source_interval > 0,
            self._ints,
            self._floats,
            out_ts,
            out,
            out_regime,
        )
        # Copies, or a handful of bars would keep the whole batch in memory.
        return self._columns(out_ts[:count].copy(), out[:, :count].copy(), out_regime[:count].copy())

    def heartbeat(self, ts: int) -> Columns:
        """The feed is silent and its time is `ts` ns: close what is over."""
        over = (ts - self.source_interval) // self.interval
        s = self._ints
        count = 0
        if s[_STARTED] and over > s[_NEXT]:
            count = int(s[_OPEN])
            s[_NEXT] = over
            s[_OPEN] = 0
        return self._last(count)

    def finish(self, complete: bool = True) -> Columns:
        """The input has ended (complete) or will go on after a restart (not complete, so the open bar stays
        open).

        Nobody can tell whether rows of an open bar are missing, so it is dropped and counted in `dropped`:
        cutting off the future never changes a bar. Bars close by themselves at the one that ends with them.
        """
        if complete:
            self._ints[_DROPPED] += self._ints[_OPEN]
            self._ints[_OPEN] = 0
        return self._last(0)

    @property
    def late(self) -> int:
        """Rows that came after a heartbeat had closed their bar."""
        return int(self._ints[_LATE])

    @property
    def dropped(self) -> int:
        """Unfinished last bars."""
        return int(self._ints[_DROPPED])

    def state(self) -> dict[str, Floats | Ints]:
        """Copies of all that is remembered, by name."""
        present = [-1] if self._present is None else [int(name in self._present) for name in OPTIONAL]
        return {
            "ints": self._ints.copy(),
            "floats": self._floats.copy(),
            "present": np.array(present, np.int64),
        }

    def restore(self, state: dict[str, Floats | Ints]) -> None:
        """Go on from what `state` returned."""
        self._ints[:] = state["ints"]
        self._floats[:] = state["floats"]
        present = state["present"]
        if len(present) == len(OPTIONAL):
            self._present = tuple(name for name, there in zip(OPTIONAL, present, strict=True) if there)
        else:
            self._present = None

    def _last(self, count: int) -> Columns:
        """The open bar (count 1) or no row (count 0)."""
        s = self._ints
        ts = np.full(count, (s[_BUCKET] + 1) * self.interval, np.int64)
        return self._columns(
            ts, self._floats[:, None][:, :count].copy(), np.full(count, s[_REGIME], np.int64)
        )

    def _columns(self, ts: Ints, values: Floats, regime: Ints) -> Columns:
        present = self._present or ()
        chosen = {name: values[1 + k] for k, name in enumerate(OPTIONAL_FLOATS) if name in present}
        return Columns(ts, values[_PRICE], **chosen, regime=regime if "regime" in present else None)


@kernel
def _push(
    ts: Ints,
    values: Floats,
    regime: Ints,
    interval: int,
    bars: bool,
    s: Ints,
    f: Floats,
    out_ts: Ints,
    out: Floats,
    out_regime: Ints,
) -> int:
    """Fill out_ts (n + 1,), out (7, n + 1) and out_regime with the closed bars, return how many; s, f: the
    state.
    """
    m = 0
    for i in range(ts.size):
        k = (ts[i] - 1) // interval if bars else ts[i] // interval
        if s[_STARTED] == 0:
            s[_STARTED] = 1
            s[_NEXT] = k
        if k < s[_NEXT]:
            k = s[_NEXT]
            s[_LATE] += 1
        if k > s[_NEXT]:
            if s[_OPEN] == 1:
                m = _emit(s, f, interval, m, out_ts, out, out_regime)
            s[_NEXT] = k
        if s[_OPEN] == 0:
            s[_OPEN] = 1
            s[_BUCKET] = k
            f[:] = 0.0
        for c in range(f.size):
            if c in (_SIZE, _BUY_SIZE):
                f[c] += values[c, i]
            else:
                f[c] = values[c, i]
        s[_REGIME] = regime[i]
        if bars and ts[i] == (k + 1) * interval:
            m = _emit(s, f, interval, m, out_ts, out, out_regime)
            s[_NEXT] = k + 1
    return m


@kernel
def _emit(s: Ints, f: Floats, interval: int, m: int, out_ts: Ints, out: Floats, out_regime: Ints) -> int:
    """Write the open bar as row m, return m + 1."""
    out_ts[m] = (s[_BUCKET] + 1) * interval
    for c in range(f.size):
        out[c, m] = f[c]
    out_regime[m] = s[_REGIME]
    s[_OPEN] = 0
    return m + 1
