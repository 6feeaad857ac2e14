"""Rows of a market: their flags, which ones are sound, and which level of price may be believed.

Every row of every source passes these rules: a file's where it is read and again in the features, a topic's in the
features, a caller's in `get_trading_action`. An account is marked, filled and sized at prices, so one absurd print
that is believed costs all of it.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined

HEARTBEAT, BAD, GAP, WARMUP, BENCHED, LEVEL, STRAY = (1 << k for k in range(7))
"""Bits of `flags`.

HEARTBEAT: the market was silent. BAD: the row cannot be believed. GAP: the row ends a hole in time, and is believed
when the next one agrees with it. WARMUP: not every window of the features is full yet. BENCHED: an agent's answer could
not be used, so the row was decided without it; only decisions have it. LEVEL: from this row on the price is on another
level, which the reader of a file vouches for, so it is a price like any other. STRAY: the features saw that level again
and again, and nobody vouches for it: no return lies between this row and the good one before it, and accounts do not
believe it yet.
"""

REPEATED = HEARTBEAT | BAD | GAP
"""A row with one of these flags repeats the last good values: it brings no fill, no score and nothing to learn."""

LEAST_PRICE, MOST_PRICE, MOST_SIZE = 1e-15, 1e18, 1e18
"""No market has a price or size beyond these; squares and products of such numbers still are finite."""

FACTOR = 2.0
"""A price farther than this factor from the last one believed is on another level; a quote so far from its price is
wrong."""

NEAR = 1.1
"""Refused prices within this factor of each other agree on one level."""

SAME, REFUSED, AGAIN = range(3)
"""The answers of `judge`: the price is on the level that is believed; on another; on another for the third time."""

VOUCHED = -1
"""In place of a count: a row that vouched for a level could not be used, so the next good row is on that level."""


class Refused(NamedTuple):
    """The prices on another level that were refused since the last good one, in a row."""

    n: Ints  # (2,) how many, or VOUCHED; event time of the newest in ns
    price: Floats  # (2,) the newest two, the newest last


def nothing_refused() -> Refused:
    """Return the record of refused prices before any was refused."""
    return Refused(np.zeros(2, np.int64), np.zeros(2))


@inlined
def sized(size: float) -> bool:
    """Whether a number can be a size, in base currency; NaN cannot."""
    return 0.0 <= size <= MOST_SIZE


@inlined
def beside(price: float, quote: float) -> bool:
    """Whether a quote is within FACTOR of the price; NaN is not."""
    return price / FACTOR <= quote <= FACTOR * price


@inlined
def priced(price: float, bid: float, ask: float) -> bool:
    """Whether price and quotes can be, and agree with each other; where there are no quotes, both are the price."""
    return LEAST_PRICE <= price <= MOST_PRICE and beside(price, bid) and beside(price, ask) and bid <= ask


@inlined
def sound(price: float, bid: float, ask: float, size: float) -> bool:
    """Whether a row can be, by itself: its price, its quotes and its size."""
    return sized(size) and priced(price, bid, ask)


@inlined
def same_level(price: float, last: float) -> bool:
    """Whether a price lies within a factor of FACTOR of the last one that was believed."""
    return not (price > FACTOR * last or FACTOR * price < last)


@inlined
def near(a: float, b: float) -> bool:
    """Whether two refused prices agree on one level."""
    return max(a, b) <= NEAR * min(a, b)


@inlined
def judge(refused: Refused, ts: int, price: float, last: float) -> int:
    """Judge a sound price at event time `ts` (ns), where `last` is the last price believed.

    Returns SAME, REFUSED or AGAIN. AGAIN is the answer to the third refused price in a row that is near the two before
    it. A message that is repeated, of the same time and price, does not count twice.
    """
    if same_level(price, last):
        refused.n[0] = 0
        return SAME
    older, newer = refused.price[0], refused.price[1]
    if refused.n[0] > 0 and ts == refused.n[1] and price == newer:
        return REFUSED
    if refused.n[0] >= 2 and near(older, newer) and near(older, price) and near(newer, price):
        refused.n[0] = 0
        return AGAIN
    refused.price[0], refused.price[1] = newer, price
    refused.n[0] += 1
    refused.n[1] = ts
    return REFUSED


def level_flags(mid: Floats) -> Ints:
    """Flags (n,) by which a reader vouches for mids (n,): LEVEL where one is on another level than the last."""
    flags = np.zeros(len(mid), np.int64)
    flags[1:][(mid[1:] > FACTOR * mid[:-1]) | (FACTOR * mid[1:] < mid[:-1])] = LEVEL
    return flags
