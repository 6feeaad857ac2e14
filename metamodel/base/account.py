"""Accounts and their paper fills: cash and whole lots, so that every account balances.

An order decided at good row t fills at good row t + delay, at bid or ask (or mid -/+ half spread) plus slippage, and
pays a fee; several may be in flight. With a participation limit a fill takes at most that share of the row's volume,
what it leaves is cancelled, and one order works at a time.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import inlined
from windvane.metamodel.base.config import Costs

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


class Accounts(NamedTuple):
    """State of K accounts; R = delay + 1."""

    lots: Ints  # (K,) position
    flying: Ints  # (K,) lots in flight
    pending: Ints  # (K, R) ring by good row of the fill
    pending_seq: Ints  # (R,) seq of the first account's order that fills there
    cash: Floats  # (K,) currency
    equity: Floats  # (K,) currency, at the last mid
    fees: Floats  # (K,) currency
    turnover: Floats  # (K,) sum of |qty x price| / capital
    fills: Floats  # (K,) number of them
    exposed: Floats  # (K,) sum of |position| over good rows after the warm-up, units of capital
    high: Floats  # (K,) highest pnl
    drawdown: Floats  # (K,) largest fall of pnl / capital


def new_accounts(accounts: int, terms: Terms) -> Accounts:
    """So many accounts, all in cash."""
    ring = terms.delay + 1
    return Accounts(
        np.zeros(accounts, np.int64),
        np.zeros(accounts, np.int64),
        np.zeros((accounts, ring), np.int64),
        np.zeros(ring, np.int64),
        np.full(accounts, terms.capital),
        np.full(accounts, terms.capital),
        *(np.zeros(accounts) for _ in range(6)),
    )


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
    a: Accounts, terms: Terms, k: int, good: int, mid: float, bid: float, ask: float, size: float
) -> tuple[int, float, float]:
    """Fill what is due for account k at good row `good`; returns lots, price and fee, lots 0 where nothing is filled.

    bid, ask: NaN where there are no quotes; size: volume since the last row, base currency.
    """
    at = good % a.pending.shape[1]
    due = a.pending[k, at]
    if due == 0:
        return 0, 0.0, 0.0
    a.pending[k, at] = 0
    a.flying[k] -= due
    if terms.participation > 0.0:
        most = int(min(terms.participation * max(size, 0.0) * terms.per_unit, MOST_LOTS))
        due = min(max(due, -most), most)
        if due == 0:
            return 0, 0.0, 0.0
    price = fill_price(terms, due, mid, bid, ask)
    amount = due / terms.per_unit * price
    fee = abs(amount) * terms.fee
    a.lots[k] += due
    a.cash[k] -= amount + fee
    a.fees[k] += fee
    a.turnover[k] += abs(amount) / terms.capital
    a.fills[k] += 1.0
    return due, price, fee


@inlined
def mark(a: Accounts, terms: Terms, k: int, mid: float) -> float:
    """Mark account k to the mid; returns its pnl in currency."""
    a.equity[k] = a.cash[k] + a.lots[k] / terms.per_unit * mid
    pnl = a.equity[k] - terms.capital
    a.high[k] = max(a.high[k], pnl)
    a.drawdown[k] = max(a.drawdown[k], (a.high[k] - pnl) / terms.capital)
    return pnl


@inlined
def place(a: Accounts, terms: Terms, k: int, good: int, seq: int, lots: int) -> None:
    """Put an order of account k in flight at good row `good`; it fills `delay` good rows later. seq: of the order."""
    at = (good + terms.delay) % a.pending.shape[1]
    a.pending[k, at] += lots
    a.flying[k] += lots
    if k == 0:
        a.pending_seq[at] = seq


@inlined
def cost_per_unit(terms: Terms, mid: float, bid: float, ask: float) -> float:
    """Fee, half spread and slippage of one unit traded, as a share of price."""
    half = (ask - bid) / (2.0 * mid) if ask > 0.0 and not math.isnan(bid) else terms.half_spread
    return terms.fee + half + terms.slippage
