"""Rows of a market: their flags, what a sound one is, and which level of price may be believed.

Every row of every source passes these rules: a file's where it is read and again in the features, a topic's in the
features, a caller's in `get_trading_action`. An account is marked, filled and sized at prices, so one absurd print
that is believed costs all of it.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined

HEARTBEAT, BAD, GAP, WARMUP, BENCHED, LEVEL, STRAY = (1 << k for k in range(7))
"""Bits of `flags`. A row with one of the first three repeats the last good values: no fill, no score, no learning.

LEVEL: from this row on the price is on another level, which the reader of a file vouches for, so it is a price like any
other. STRAY: so it seems to the features, which saw that level again and again, and nobody vouches for it: no return
lies between this row and the good one before it, and accounts do not believe it yet.
"""

REPEATED = HEARTBEAT | BAD | GAP

LEAST_PRICE, MOST_PRICE, MOST_SIZE = 1e-15, 1e18, 1e18
"""No market has a price or size beyond; squares and products of such numbers still are numbers."""

FACTOR = 2.0
"""A price farther than this factor from the last one believed is on another level."""

NEAR = 1.1
"""Refused prices within this factor of each other vouch for one level."""

SAME, REFUSED, AGAIN = range(3)
"""What `judge` says of a price: on the level that is believed, on another, on another for the third time in a row."""


VOUCHED = -1
"""A row that vouched for a level was not used, so the next good row is on it."""


class Refused(NamedTuple):
    """The prices on another level that were refused since the last good one."""

    n: Ints  # (2,) how many, or VOUCHED; event time of the newest in ns
    price: Floats  # (2,) the newest two, the newest last


def nothing_refused() -> Refused:
    """No price was refused since the last good one."""
    return Refused(np.zeros(2, np.int64), np.zeros(2))


@inlined
def sized(size: float) -> bool:
    """Whether a size can be one; NaN cannot."""
    return 0.0 <= size <= MOST_SIZE


@inlined
def priced(price: float, bid: float, ask: float) -> bool:
    """Whether price and quotes can be, and agree with each other; where there are no quotes, all are the price."""
    return LEAST_PRICE <= price <= MOST_PRICE and 0.5 * price <= bid <= ask <= 2.0 * price


@inlined
def same_level(price: float, last: float) -> bool:
    """Whether a price lies within FACTOR of the last one believed."""
    return not (price > FACTOR * last or FACTOR * price < last)


@inlined
def near(a: float, b: float) -> bool:
    """Whether two refused prices vouch for one level."""
    return max(a, b) <= NEAR * min(a, b)


@inlined
def judge(refused: Refused, ts: int, price: float, last: float) -> int:
    """SAME, REFUSED or AGAIN for a sound price at event time `ts` (ns), where `last` is the last one believed.

    AGAIN is said of the third refused price in a row that is near the two before it. A message that is repeated, of the
    same time and price, does not vouch for itself.
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
    """LEVEL for each of (n,) mids that is on another level than the one before, as who vouches for them sends it."""
    flags = np.zeros(len(mid), np.int64)
    flags[1:][(mid[1:] > FACTOR * mid[:-1]) | (FACTOR * mid[1:] < mid[:-1])] = LEVEL
    return flags
