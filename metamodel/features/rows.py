"""Decides which rows the features believe: those that are sound, in time, and on a believed level of price."""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined, kernel
from windvane.metamodel.base import rows
from windvane.metamodel.features import memory as at
from windvane.metamodel.features.memory import Memory

WARMUP = 512
"""Good rows until every window is filled."""

REASONS: tuple[str, ...] = (
    "",
    "price, size or quote is not a positive number, or the book is crossed",
    "time goes back",
    "time is too far ahead of the broker's time of the record",
    "price is more than a factor of 2 from the last good one",
)
"""Why a row is refused."""

UNSOUND, BACK, AHEAD, OFF_LEVEL = range(1, len(REASONS))

_NOBODY_ASKED = np.zeros(0, np.int64)


class FeatureRows(NamedTuple):
    """What is known of the market after each of n rows; a row that is not good repeats the last good values."""

    x: Floats  # (n, 50) features, columns of `columns.Column`
    ts: Ints  # (n,) ns, never going back
    flags: (
        Ints  # (n,) as they came, with what the features judged: BAD, GAP, WARMUP, LEVEL and STRAY of `rows`
    )
    price: Floats  # (n,)
    mid: Floats  # (n,)
    bid: Floats  # (n,) or (0,) where there are no quotes
    ask: Floats  # (n,) or (0,)
    size: Floats  # (n,) or (0,) where there are no sizes
    reason: Ints = _NOBODY_ASKED  # (n,) why it was refused, places in REASONS; (0,) where nobody asked


@inlined
def when(seen: Ints, ts: int, stale_after: int) -> int:
    """The flag that a row's time earns: BAD if it goes back, GAP if it ends a hole, else 0. seen: as in Memory.

    The time that ends a hole is believed when the next row agrees, so that one absurd time cannot make all that
    follows look late.
    """
    if seen[at.GOOD] == 0:
        return 0
    if ts < seen[at.GOOD_TS]:
        return rows.BAD
    if ts - seen[at.GOOD_TS] <= stale_after:
        return 0
    if seen[at.HOLE_TS] > 0 and 0 <= ts - seen[at.HOLE_TS] <= stale_after:
        return 0
    seen[at.HOLE_TS] = ts
    return rows.GAP


@inlined
def level(refused: rows.Refused, ts: int, mid: float, last: float, vouched: bool) -> int:
    """The flag that a level of price earns, where `last` is the last mid believed: 0, BAD, LEVEL or STRAY.

    A row that is STRAY is to be rejoined.
    """
    if vouched or refused.n[0] == rows.VOUCHED:
        refused.n[0] = 0
        return 0 if rows.same_level(mid, last) else rows.LEVEL
    judgement = rows.judge(refused, ts, mid, last)
    if judgement == rows.AGAIN:
        return rows.STRAY
    return rows.BAD if judgement == rows.REFUSED else 0


@kernel
def _anew(m: Memory) -> None:
    """Forget all but time: in the warm-up nothing was traded yet, so that another level starts the series anew."""
    m.seen[at.GOOD] = 0
    m.e[:] = 0.0
    m.p[:] = 0.0
    m.cu[:] = 0.0
    m.dq_value[:] = 0.0
    m.dq_at[:] = 0
    m.dq_ends[:] = 0
    m.x[:] = 0.0


@kernel
def rejoin(m: Memory, mid: float) -> None:
    """Go on as if all prices before had been on the level of `mid`, so that no window contains a return between."""
    if m.seen[at.GOOD] <= WARMUP:
        _anew(m)
        return
    shift = math.log(mid / m.last[at.MID])
    m.p[:] += shift
    m.dq_value[:] += shift
    for place in (at.P12, at.P26, at.P24, at.P96, at.P384):
        m.e[place] += shift
