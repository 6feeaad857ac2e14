"""What the feature kernel remembers: arrays of fixed size, whose places have names."""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import rows

RING = 512
"""Log prices and sums of u kept: a power of two, at least the longest look-back."""

(
    U8,
    U32,
    U128,
    U512,
    V16,
    V128,
    VSLOW,
    AC64,
    UU64,
    AC256,
    UU256,
    S8,
    S32,
    N8,
    N16,
    N32,
    N96,
    NSLOW,
    HSLOW,
    JUMP,
    JSIGN,
    UU128,
    UUU128,
    UP14,
    DOWN14,
    UP56,
    DOWN56,
    P12,
    P26,
    MACD,
    P24,
    P96,
    P384,
    LV,
    LVV,
    LV64,
    LN64,
    NN64,
    UN64,
    UQ,
    QQ,
    A32,
    ASLOW,
    F16,
    F64,
    I16,
    ULAST,
    CU,
    LAST_PLACE,
) = range(49)
"""Places of Memory.e: an EWMA or running value each."""

GOOD, GOOD_TS, TIME, HOLE_TS = range(4)
"""Places of Memory.seen: good rows so far; ts of the last one; highest ts that was not bad; ts that ended a hole, until
the next row agrees with it, else 0. Times in ns."""

PRICE, MID, BID, ASK, SIZE = range(5)
"""Places of Memory.last: of the last good row."""


class Memory(NamedTuple):
    """Everything that the feature kernel remembers between rows."""

    seen: Ints  # (4,) counts and times
    e: Floats  # (49,) EWMAs and running values
    p: Floats  # (512,) ring of log mids
    cu: Floats  # (512,) ring of the running sum of u
    dq_value: Floats  # (4, 512) monotonic queues: high and low of 96, high and low of 480
    dq_at: Ints  # (4, 512)
    dq_ends: Ints  # (4, 2) head and tail
    x: Floats  # (F,) last row of features
    last: Floats  # (5,) of the last good row
    refused: rows.Refused  # prices that were refused since then

    @classmethod
    def new(cls, features: int) -> "Memory":
        """A memory that has seen nothing, for so many features."""
        return cls(
            np.zeros(4, np.int64),
            np.zeros(LAST_PLACE + 1),
            np.zeros(RING),
            np.zeros(RING),
            np.zeros((4, RING)),
            np.zeros((4, RING), np.int64),
            np.zeros((4, 2), np.int64),
            np.zeros(features),
            np.zeros(5),
            rows.nothing_refused(),
        )
