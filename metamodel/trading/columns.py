"""What a round is given, what it gives, and what it remembers of time."""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints

AT_HOME, AWAY, RESUMED = range(3)
"""Whether the price is on the level that the accounts are marked at, or on another: one that is not confirmed, or one
that is, so that the next good row is believed."""


class Resumption(NamedTuple):
    """When trading resumes by itself: -1 never, 0 at the next UTC day, else after so many good rows."""

    halt: int  # after a halt by a limit
    level: int  # after the price went to another level, which is then believed


class Clock(NamedTuple):
    """What rounds remember of time."""

    n: Ints  # (8,) day, rows of it, seq and ts of the last row, good rows, ts of the last, in a row, warm rows
    f: Floats  # (4,) mid of the last good row, EWMA of ns between good rows, last wanted and final target
    wanted: Floats  # (R, K) ring of every account's wanted target
    away: (
        Ints  # (2,) AT_HOME, AWAY or RESUMED; good rows since the price went away, 0 once trading has resumed
    )


class Inputs(NamedTuple):
    """n rows; columns that the source does not have are (0,)."""

    seq: Ints
    ts: Ints
    flags: Ints
    x: Floats  # (n, F)
    regime: Floats  # (n, 7) posterior of the regimes
    mid: Floats
    bid: Floats
    ask: Floats
    size: Floats
    target: Floats  # (n, N)
    confidence: Floats  # (n, N)
    awake: Ints  # (N,)
    control: Ints  # (n,) 0 or one of HALT ...


class Outputs(NamedTuple):
    """What n rounds give; orders and fills are the ensemble's, at most one a row."""

    weights: Floats  # (n, N)
    members: Floats  # (n, M)
    member_targets: Floats  # (n, M)
    value: Floats  # (4, n) wanted, target, position, equity
    equities: Floats  # (n, K)
    verdict: Ints  # (n,)
    state: Ints  # (n,)
    away: Ints  # (n,) 1 where the price is on another level than the accounts are marked at
    counts: Ints  # (3,) orders, fills, statements
    order_row: Ints  # (n,)
    order: Floats  # (n, 2) qty, target after
    order_kind: Ints  # (n, 2) reduce-only, reason
    fill_row: Ints  # (n,)
    fill_seq: Ints  # (n,) seq of the order
    fill: Floats  # (n, 3) qty, price, fee
    statement_at: Ints  # (n + 1, 3) seq, ts, day
    statement: Floats  # (n + 1, 9, K)


def new_clock(accounts: int, delay: int) -> Clock:
    """Nothing seen yet."""
    return Clock(np.zeros(8, np.int64), np.zeros(4), np.zeros((delay + 3, accounts)), np.zeros(2, np.int64))
