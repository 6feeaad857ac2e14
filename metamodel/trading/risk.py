"""What the risk gates are, what they are told, and what they remember; `gates` has the rules themselves."""

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.limits import RiskLimits


class Gate(IntEnum):
    """The gates: bit of a verdict, and what it means that the gate acted.

    Bits are in the order of checking, but a gate that came later took the next free bit: bits keep their meaning.
    """

    does: str

    def __new__(cls, bit: int, does: str) -> "Gate":
        gate = int.__new__(cls, bit)
        gate._value_, gate.does = bit, does
        return gate

    STATE = (
        1 << 0,
        "A halted account holds, or closes its position where that was ordered; a reduce-only one reduces.",
    )
    DATA = 1 << 1, "Only reductions are sent until three good rows have followed a hole in the data."
    SPREAD = 1 << 2, "Only reductions are sent while the spread is above max_spread_bp."
    COLLAR = 1 << 3, "No order is sent at a price outside price_collar, or on a level that is not believed."
    POSITION = 1 << 4, "The position is cut to max_position."
    NOTIONAL = 1 << 5, "The position is cut to max_notional."
    ORDER_QTY = 1 << 6, "The order is cut to max_order_qty."
    ORDER_RATE = 1 << 7, "Only reductions are sent while max_orders were sent within orders_interval."
    TURNOVER = 1 << 8, "What exceeds max_turnover of the UTC day is not traded, unless it reduces."
    DAILY_LOSS = 1 << 9, "The loss of the UTC day reached daily_loss: trading halts."
    DRAWDOWN = 1 << 10, "The fall from the highest equity reached max_drawdown: trading halts."
    VAR = 1 << 11, "The position is cut to a value at risk of var_95."
    VOLATILITY = 1 << 12, "The position is scaled down to volatility_target."
    KELLY = 1 << 13, "The position is scaled down to kelly_fraction of the Kelly bet."
    CONFIDENCE = 1 << 14, "The target is scaled by the confidence of the agents, over its mean."
    MIN_ORDER = 1 << 15, "An order smaller than min_order is not sent."
    IN_FLIGHT = (
        1 << 16,
        "No order is sent while another works, where a fill takes only a share of the volume or the other is urgent.",
    )
    NO_AGENTS = 1 << 17, "No agent that the account follows is awake: it keeps its position."
    LONG_ONLY = 1 << 18, "The position is not let below 0, where long_only says so."


GATES: tuple[str, ...] = tuple(gate.name.lower() for gate in Gate)
"""Names of the gates, by the bits of a verdict."""

ACTIVE, REDUCE_ONLY, HALTED = 0, 1, 2
"""Whether an account may trade."""

BY_LIMIT, BY_PERSON = 1, 2
"""Who halted an account, or ordered its position closed."""

RESTRICTED_BY_PERSON, RESTRICTED_BY_LEVEL = 1, 2
"""Why an account may only reduce: a person's control, or a price on a level that nobody vouches for."""


class Limits(NamedTuple):
    """RiskLimits in the units of the kernel; a limit that is off is inf."""

    spread: float  # share of mid
    collar: float  # |ln(mid / last good mid)|
    position: float  # units of capital
    notional: float  # currency
    order_qty: float  # lots
    orders: float
    orders_interval: int  # ns
    turnover: float  # currency
    daily_loss: float  # currency
    drawdown: float  # currency
    var: float  # units of capital
    volatility: float  # a year
    kelly: float  # fraction of the Kelly bet
    confidence: bool
    flatten: bool
    long_only: bool
    min_order: float  # currency
    capital: float  # currency
    lot: float  # base currency


def new_limits(limits: RiskLimits, capital: float, lot: float, min_order: float) -> Limits:
    """Limits in the units of the kernel; capital in currency, lot in base currency, min_order a share of capital."""

    def on(value: float | None, unit: float = 1.0) -> float:
        return math.inf if value is None else value * unit

    return Limits(
        spread=on(limits.max_spread_bp, 1e-4),
        collar=on(limits.price_collar),
        position=on(limits.max_position),
        notional=on(limits.max_notional),
        order_qty=on(limits.max_order_qty, 1.0 / lot),
        orders=on(limits.max_orders),
        orders_interval=limits.orders_interval,
        turnover=on(limits.max_turnover, capital),
        daily_loss=on(limits.daily_loss, capital),
        drawdown=on(limits.max_drawdown, capital),
        var=on(limits.var_95),
        volatility=on(limits.volatility_target),
        kelly=on(limits.kelly_fraction),
        confidence=limits.confidence_scaling,
        flatten=limits.flatten_on_halt,
        long_only=limits.long_only,
        min_order=min_order * capital,
        capital=capital,
        lot=lot,
    )


class Standing:
    """What the gates remember of one account: a record."""

    state: int  # ACTIVE, REDUCE_ONLY or HALTED
    halted_by: int  # 0, BY_LIMIT or BY_PERSON
    halted_at: int  # good row of the halt
    restricted: int  # 0, or why the account may only reduce, also after a halt is over
    flattening: int  # who ordered a position closed that is still open, BY_LIMIT or BY_PERSON; 0: nobody
    halts: int  # times halted
    sent_at: int  # orders sent so far
    day_turnover: float  # currency, of orders sent this UTC day
    day_start: float  # pnl when the UTC day began
    peak: float  # highest pnl since the start or the last resumption
    edge_mean: float  # EWMA (half-life 4000) of what the wanted targets earned
    edge_square: float  # and of its square
    trust: float  # EWMA (half-life 4000) of how much likelier than not its targets were said to pay
    trusted: int  # targets behind that


def new_sent(accounts: int, limits: RiskLimits) -> Ints:
    """Ring (K, Q) of the times of the last orders of so many accounts, ns: as many as may be sent in the interval."""
    ring = int(limits.max_orders) if limits.max_orders is not None else 1
    return np.full((accounts, max(ring, 1)), np.iinfo(np.int64).min)


class View(NamedTuple):
    """What the gates know of the market at a row."""

    ts: int  # ns
    good: int  # good rows before this one
    mid: float
    priced: bool  # within the collar of the good row before
    spread: float  # ask - bid over mid
    healthy: bool  # neither stale nor just back from a hole
    s: float  # volatility a row
    rows_a_day: float
    unit: float  # lots that are worth one unit of capital


class Ask(NamedTuple):
    """What an account asks of the gates at a row."""

    target: float  # units of capital
    scaled: bool  # whether the target was scaled by the confidence of the agents that the account follows
    idle: bool  # whether no agent that the account follows is awake: `target` is its exposure
    exposure: int  # position and all in flight, lots
    pnl: float  # currency
    working: bool  # whether an order is in flight that no other may join
    oldest: (
        int  # time of the oldest of the last max_orders orders, ns; far in the past where there were fewer
    )
