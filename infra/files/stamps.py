"""When a bar ends: what its time marks, and how long it lasts."""

from __future__ import annotations

import numpy as np

from windvane.agents.base import Ints
from windvane.infra.files.errors import InputError
from windvane.infra.files.layouts import Format
from windvane.infra.files.reading import Reading
from windvane.infra.files.timestamps import common_step
from windvane.metamodel.base.config import SECOND
from windvane.metamodel.data.sampler import format_interval

MINUTE = 60 * SECOND
_MOST_OF = 0.9
_SAMPLE = 1000


def bar_ends(
    file: str, ts: Ints, closes: Ints | None, rows: Ints, layout: Format, reading: Reading, notes: list[str]
) -> tuple[Ints, int]:
    """(n,) the ends of bars, and ns that a bar lasts; InputError where nothing says how long that is.

    ts: (n,) the times of the file; closes: (n,) the ends, where it has both, 0 where one cannot be read; rows: the
    sound ones in the order of time.
    """
    interval = common_step(ts[rows])
    if closes is not None:
        interval = _span(ts, closes, rows, interval) or interval
    if not interval:
        raise InputError(f"{file} has one bar, so nothing says how long it lasts: give two bars or more")
    by_name = "close" if "ts" not in layout.roles else layout.stamp
    stamp = reading.stamp or by_name
    if stamp == "open" and closes is None and reading.stamp is None and _last_inside(ts[rows], interval):
        stamp = "close"
        notes.append(
            f"times are the last moment of bars of {format_interval(interval)}, so they mark the end"
        )
    elif stamp == "close" and by_name == "open":
        notes.append("times mark the end of bars, as --stamp says")
    if stamp == "open":
        return ts + interval, interval
    # Closing times are often the last unit inside the bar: 59.999 or 59 for 60.
    ends = np.where(ts % SECOND >= 999_000_000, -(-ts // SECOND) * SECOND, ts)
    if _last_inside(ends[rows], interval):
        ends = np.where(ends % interval == interval - SECOND, ends + SECOND, ends)
    return ends, interval


def _span(ts: Ints, closes: Ints, rows: Ints, step: int) -> int:
    """ns from the open to the end of a bar, made whole where the end is its last unit; 0 where that is not known."""
    both = rows[closes[rows] > 0]
    if not len(both):
        return 0
    span = max(0, -(-int(np.median(closes[both] - ts[both])) // SECOND) * SECOND)
    if span and ((span + SECOND) % MINUTE == 0 or span + SECOND == step):
        return span + SECOND
    return span


def _last_inside(ts: Ints, interval: int) -> bool:
    """Whether times are the last second, or part of one, before a bar is full."""
    if interval < MINUTE or len(ts) < 2:
        return False
    some = ts[:: max(len(ts) // _SAMPLE, 1)]
    left = interval - some % interval
    return bool(((left <= SECOND) & (left > 0)).mean() > _MOST_OF)
