"""What rounds read, what they write, and what they remember, by name.

N agents, M members of the learner, K accounts, F features. Classes of annotations alone are kinds of records
(`windvane.metamodel.base.records`): kernels read and write their fields by name.
"""

from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import records
from windvane.metamodel.base.account import Terms
from windvane.metamodel.base.records import Records
from windvane.metamodel.trading.risk import Limits

ENSEMBLE, EQUAL, BUY_AND_HOLD, BASELINES = range(4)
"""The first accounts: of the ensemble, of equal weights, and of buy and hold; those of the agents follow."""

AT_HOME, AWAY, RESUMED = range(3)
"""Whether the price is on the level that the accounts are marked at; on another that is not confirmed; or on one that
is, so that the next good row is believed."""


class Clock:
    """What rounds remember of time and price: one record a book."""

    day: int  # UTC day of the rows since the last statement, days since 1970-01-01
    day_rows: int  # rows since the last statement, 0 where the next row begins a day
    seq: int  # of the last row
    ts: int  # of the last row, ns
    good_rows: int  # believed rows so far
    good_ts: int  # of the last believed row, ns
    streak: int  # believed rows since the last hole or refused price
    warm_rows: int  # believed rows after the warm-up
    mid: float  # of the last believed row: the accounts are marked at it
    spacing: float  # EWMA of ns between believed rows
    wanted: float  # last wanted target of the ensemble, units of capital
    target: float  # last target of the ensemble that passed the gates, units of capital
    level: int  # AT_HOME, AWAY or RESUMED
    rows_away: int  # good rows since the price left its level, 0 once trading has resumed
    urgent_seq: int  # seq of the ensemble's last urgent order


class Book(NamedTuple):
    """All that the rounds of a book remember beside what the learner does."""

    clock: Records  # (1,) of Clock
    account: Records  # (K,) of Account
    standing: Records  # (K,) of Standing
    aims: Floats  # (delay + 3, K) ring by believed row of every account's wanted target
    pending: Ints  # (K, delay + 1) ring by believed row of the lots that will be filled
    pending_seq: Ints  # (delay + 1,) seq of the ensemble's order among them
    sent: Ints  # (K, Q) ring of the times of the last orders, ns


class Resumption(NamedTuple):
    """When trading resumes by itself after a halt: -1 never, 0 at the next UTC day, else after so many good rows."""

    halt: int  # after a halt by a limit
    level: int  # after the price left its level; the level it then is on is believed


class Settings(NamedTuple):
    """What the rounds of a book are told before they begin, beside the rules of the learner."""

    terms: Terms
    limits: Limits
    resumption: Resumption


_ABSENT = np.zeros(0)
_UNSET = np.zeros(0, np.int64)


class Inputs(NamedTuple):
    """n >= 1 rows; a column that the source does not have is (0,)."""

    seq: Ints  # (n,)
    ts: Ints  # (n,) UNIX ns
    flags: Ints  # (n,) bits of `windvane.metamodel.base.rows`
    x: Floats  # (n, F) features
    mid: Floats  # (n,)
    target: Floats  # (n, N) of the agents, units of capital
    confidence: Floats  # (n, N) in [0, 1]
    bid: Floats = _ABSENT  # (n,)
    ask: Floats = _ABSENT  # (n,)
    size: Floats = _ABSENT  # (n,) volume since the last row, base currency
    regime: Floats = _ABSENT  # (n, 7) posterior of the regimes; absent: how often they were what in training
    control: Ints = _UNSET  # (n,) 0 or a code of `windvane.metamodel.trading.control`; absent: no control
    awake: Ints = _UNSET  # (N,) 0 for agents that sleep in all these rows; absent: none does

    @classmethod
    def of(cls, *required: np.ndarray, **optional: "np.ndarray | None") -> "Inputs":
        """Rows from the first seven columns in their order and the others by name; None for one that is absent."""
        return cls(*required, **{name: column for name, column in optional.items() if column is not None})


class Order:
    """An order of the ensemble."""

    row: int  # place among the inputs
    qty: float  # base currency, > 0 buys
    target_after: float  # position once it and all in flight are filled, units of capital
    reduce_only: int  # 1 if it only reduces the position
    reason: int  # place in `windvane.metamodel.base.account.REASONS`


class Fill:
    """A fill of the ensemble."""

    row: int  # place among the inputs
    order_seq: int  # seq of the order filled
    qty: float  # base currency, > 0 bought
    price: float
    fee: float  # currency


class Statement:
    """How an account stands; sums are since the book was opened."""

    pnl: float  # currency
    position: float  # units of capital
    turnover: float  # sum of |qty x price| / capital
    fees: float  # currency
    orders: float  # number of fills
    exposure: float  # sum of |position| over good rows after the warm-up
    rows: float  # good rows after the warm-up
    drawdown: float  # largest fall of pnl / capital so far
    halts: float  # times trading was halted


STATEMENT: tuple[str, ...] = records.names(Statement)
"""What a statement says of every account: the columns of the event Statements are these."""


class Day:
    """The end of a UTC day, of which there is a statement."""

    seq: int  # of the day's last row
    ts: int  # of the day's last row, ns
    day: int  # days since 1970-01-01


class Counts:
    """How many rows of n rounds were good, and how many records of each kind were written."""

    good: int
    orders: int
    fills: int
    statements: int


class Outputs(NamedTuple):
    """What n rounds write; orders and fills are the ensemble's.

    There is at most one order a row, and one fill of an order that waited for its row beside one of an urgent order,
    which an earlier row sent: n + 1 fills at most.
    """

    weights: Floats  # (n, N)
    members: Floats  # (n, M)
    member_targets: Floats  # (n, M)
    equities: Floats  # (n, K) currency
    wanted: Floats  # (n,) target of the ensemble before the gates, units of capital
    target: Floats  # (n,) and after them
    position: Floats  # (n,) units of capital
    equity: Floats  # (n,) currency
    verdict: Ints  # (n,) bits of `windvane.metamodel.trading.risk.Gate`
    state: Ints  # (n,) ACTIVE, REDUCE_ONLY or HALTED
    strayed: Ints  # (n,) 1 where the price left the level that the accounts are marked at
    counts: Records  # (1,) of Counts
    order: Records  # (n,) of Order
    fill: Records  # (n + 1,) of Fill
    day: Records  # (n + 1,) of Day
    statement: Records  # (n + 1, K) of Statement


class Row(NamedTuple):
    """One row while its round runs."""

    t: int  # place among the inputs
    seq: int
    ts: int  # ns
    flag: int
    warm: bool  # whether the warm-up is over
    awake: int  # agents that are awake
    good: int  # believed rows before it
    mid: float
    bid: float  # NaN where there are no quotes
    ask: float
    size: float  # 0 where the source has none


class Wishes(NamedTuple):
    """What the accounts want at a row, before the gates."""

    wanted: float  # of the ensemble, units of capital
    trust: float  # how probable it is, by the agents, that this pays
    target: Floats  # (N,) of the agents, units of capital
    confidence: Floats  # (N,)
    awake: Ints  # (N,)
