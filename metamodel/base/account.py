"""Accounts and their paper fills: cash and whole lots, so that every account balances.

An order decided at good row t fills at good row t + delay, at bid or ask (or mid -/+ half spread) plus slippage, and
pays a fee; several may be in flight. With a participation limit a fill takes at most that share of the row's volume,
what it leaves is cancelled, and one order works at a time. An urgent order, which a person's flatten sends between two
good rows, has a slot of its own and fills at the next good row, whatever the delay.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Ints
from windvane.agents.kernel import inlined
from windvane.metamodel.base import records
from windvane.metamodel.base.config import Costs
from windvane.metamodel.base.records import Records

REASONS: tuple[str, ...] = ("rebalance", "reduce", "close", "flatten")
"""Why an order was sent: to follow the target, to a smaller position, or to none; or to close after a halt."""

REBALANCE, REDUCE, CLOSE, FLATTEN = range(len(REASONS))

MOST_LOTS = 4e18
"""No position is larger: the sum of two such numbers still is an int64."""


class Terms(NamedTuple):
    """Costs as the kernel reads them."""

    fee: float  # share of the amount traded
    slippage: float  # share of price, beyond the quote
    half_spread: float  # share of price, where there are no quotes
    delay: int  # good rows from decision to fill
    participation: float  # largest share of a row's volume that a fill may take, 0: no limit
    capital: float  # currency
    lot: float  # base currency
    per_unit: float  # lots of one unit of base currency


def new_terms(costs: Costs, capital: float, lot: float) -> Terms:
    """Costs in the units of the kernel; capital in currency, lot in base currency."""
    return Terms(
        costs.fee_bp * 1e-4,
        costs.slippage_bp * 1e-4,
        costs.half_spread_bp * 1e-4,
        costs.delay,
        costs.participation,
        capital,
        lot,
        float(round(1.0 / lot)),
    )


class Account:
    """The state of one account: a record."""

    lots: int  # position
    flying: int  # lots in flight, all orders together
    cash: float  # currency
    equity: float  # currency, at the last mid
    fees: float  # currency
    turnover: float  # sum of |qty x price| / capital
    fills: float  # number of them
    exposed: float  # sum of |position| over good rows after the warm-up, units of capital
    high: float  # highest pnl, currency
    drawdown: float  # largest fall of pnl / capital
    urgent: int  # those of the lots in flight that are of an urgent order


def new_accounts(accounts: int, terms: Terms) -> tuple[Records, Ints]:
    """So many accounts (K,), all in cash, and the lots that will be filled for each, (K, delay + 1) by good row."""
    fresh = records.new(Account, accounts)
    fresh["cash"] = fresh["equity"] = terms.capital
    return fresh, np.zeros((accounts, terms.delay + 1), np.int64)


@inlined
def fill_price(terms: Terms, lots: int, mid: float, bid: float, ask: float) -> float:
    """Price of a paper fill of so many lots, > 0 bought; bid and ask are NaN where there are no quotes."""
    if lots > 0:
        quote = ask if ask > 0.0 else mid * (1.0 + terms.half_spread)
        return quote * (1.0 + terms.slippage)
    quote = bid if bid > 0.0 else mid * (1.0 - terms.half_spread)
    return quote * (1.0 - terms.slippage)


@inlined
def settle(
    a: Account, pending: Ints, terms: Terms, good: int, mid: float, bid: float, ask: float, size: float
) -> tuple[int, float, float]:
    """Fill what is due at good row `good`; returns lots, price and fee, lots 0 where nothing is filled.

    pending: (delay + 1,) of the account; bid, ask: NaN where there are no quotes; size: volume since the last row, base
    currency.
    """
    at = good % pending.shape[0]
    due = pending[at]
    if due == 0:
        return 0, 0.0, 0.0
    pending[at] = 0
    return _execute(a, terms, due, mid, bid, ask, size)


@inlined
def settle_urgent(
    a: Account, terms: Terms, mid: float, bid: float, ask: float, size: float
) -> tuple[int, float, float]:
    """Fill the urgent order; returns as `settle`, whose arguments these are."""
    due = a.urgent
    a.urgent = 0
    return _execute(a, terms, due, mid, bid, ask, size)


@inlined
def _execute(
    a: Account, terms: Terms, due: int, mid: float, bid: float, ask: float, size: float
) -> tuple[int, float, float]:
    """Fill so many lots of what is in flight, or the share of them that the volume leaves; returns as `settle`."""
    a.flying -= due
    if terms.participation > 0.0:
        most = int(min(terms.participation * max(size, 0.0) * terms.per_unit, MOST_LOTS))
        due = min(max(due, -most), most)
        if due == 0:
            return 0, 0.0, 0.0
    price = fill_price(terms, due, mid, bid, ask)
    amount = due / terms.per_unit * price
    fee = abs(amount) * terms.fee
    a.lots += due
    a.cash -= amount + fee
    a.fees += fee
    a.turnover += abs(amount) / terms.capital
    a.fills += 1.0
    return due, price, fee


@inlined
def mark(a: Account, terms: Terms, mid: float) -> float:
    """Mark an account to the mid; returns its pnl in currency."""
    a.equity = a.cash + a.lots / terms.per_unit * mid
    pnl = a.equity - terms.capital
    a.high = max(a.high, pnl)
    a.drawdown = max(a.drawdown, (a.high - pnl) / terms.capital)
    return pnl


@inlined
def place(a: Account, pending: Ints, terms: Terms, good: int, lots: int) -> None:
    """Put an order in flight at good row `good`; it fills `delay` good rows later. pending: as of `settle`."""
    pending[(good + terms.delay) % pending.shape[0]] += lots
    a.flying += lots


@inlined
def place_urgent(a: Account, lots: int) -> None:
    """Put an urgent order in flight; there must be none yet."""
    a.urgent = lots
    a.flying += lots


@inlined
def cost_per_unit(terms: Terms, mid: float, bid: float, ask: float) -> float:
    """Return the cost of one unit traded, as a share of price: fee, half spread and slippage."""
    half = (ask - bid) / (2.0 * mid) if ask > 0.0 and not math.isnan(bid) else terms.half_spread
    return terms.fee + half + terms.slippage
