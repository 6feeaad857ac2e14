"""Simulates one account for each way to weigh agents, all at the same prices and costs.

Positions are whole lots, and orders below 0.1 % of capital are not sent unless they close a position; no other risk
limit is applied.
"""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.infra.evaluation.rows import Rows
from windvane.infra.report.significance import annual
from windvane.metamodel.base import account
from windvane.metamodel.base.records import Records
from windvane.metamodel.base.times import DAY
from windvane.metamodel.learning import scores

_CAPITAL, _LOT, _LEAST = 1e6, 1e-8, 1e-3


class Books(NamedTuple):
    """The results of the accounts of K methods."""

    returns: Floats  # (D, K) of the UTC days that are scored, shares of capital
    drawdown: Floats  # (K,) largest fall from a peak, a share of capital
    turnover: Floats  # (K,) traded a day, units of capital

    @property
    def sharpe(self) -> Floats:
        """(K,) annualised Sharpe ratios of the daily returns."""
        return annual(self.returns.T)

    @property
    def days_won(self) -> Floats:
        """(K,) shares of the days with a return above 0."""
        return (self.returns > 0.0).mean(axis=0)


class _Prices(NamedTuple):
    """The market as the accounts meet it; the first `first` rows are traded but not scored."""

    day: Ints  # (n,) UTC day, 0 is the first that is scored
    mid: Floats  # (n,)
    bid: Floats  # (n,) NaN where there are no quotes
    ask: Floats  # (n,) NaN where there are no quotes
    first: int


def books(rows: Rows, targets: Floats) -> Books:
    """Simulate K accounts that follow targets (n, K), and return their results from the first scored row on.

    rows: the market; an order is decided at each row and filled `rows.costs.delay` rows later.
    """
    day = (rows.ts - 1) // DAY
    day = day - day[rows.first]
    k = targets.shape[1]
    out = Books(np.zeros((int(day[-1]) + 1, k)), np.zeros(k), np.zeros(k))
    terms = account.new_terms(rows.costs, _CAPITAL, _LOT)
    accounts, pending = account.new_accounts(k, terms)
    _trade(accounts, pending, terms, _Prices(day, rows.mid, rows.bid, rows.ask, rows.first), targets, out)
    return out._replace(turnover=out.turnover / len(out.returns))


@kernel
def _trade(
    accounts: Records, pending: Ints, terms: account.Terms, prices: _Prices, targets: Floats, out: Books
) -> None:
    """Trade every account (K,) through all rows and fill `out`, whose turnover is the sum over all scored days."""
    mid, bid, ask = prices.mid, prices.bid, prices.ask
    for k in range(targets.shape[1]):
        a, before = accounts[k], 0.0
        for t in range(targets.shape[0]):
            account.settle(a, pending[k], terms, t, mid[t], bid[t], ask[t], 0.0)
            pnl = account.mark(a, terms, mid[t])
            exposure = a.lots + a.flying
            lots = int(targets[t, k] * terms.capital / mid[t] * terms.per_unit) - exposure
            small = abs(lots) / terms.per_unit * mid[t] < _LEAST * terms.capital
            if lots != 0 and (not small or targets[t, k] == 0.0):
                account.place(a, pending[k], terms, t, lots)
                if terms.delay == 0:
                    account.settle(a, pending[k], terms, t, mid[t], bid[t], ask[t], 0.0)
                    pnl = account.mark(a, terms, mid[t])
            if t >= prices.first:
                out.returns[prices.day[t], k] += (pnl - before) / terms.capital
            if t == prices.first:
                a.high, a.drawdown, out.turnover[k] = pnl, 0.0, -a.turnover
            before = pnl
        out.drawdown[k] = a.drawdown
        out.turnover[k] += a.turnover


def yearly_volatility(rows: Rows) -> Floats:
    """Return the annualised volatility of the market (n,), as the risk gates know it when they check a row's order."""
    out = np.empty(len(rows.mid))
    _volatility(rows.ts, rows.mid, out)
    return out


@kernel
def _volatility(ts: Ints, mid: Floats, out: Floats) -> None:
    """Fill `out` (n,): the volatility a row, annualised by an exponential average of the time between rows."""
    market = scores.Moments(np.zeros(2, np.int64), np.zeros(4))
    spacing = 0.0
    for t in range(mid.shape[0]):
        scores.observe(market, mid[t], 0.0, False)
        if t > 0:
            spacing += max(0.01, 1.0 / t) * (ts[t] - ts[t - 1] - spacing)
        out[t] = math.sqrt(max(market.value[1], 1e-12) * DAY / max(spacing, 1.0) * 365.0)


@kernel
def agent_scores(
    delay: int, mid: Floats, cost: Floats, warm: Ints, target: Floats, gn: Floats, s: Floats
) -> None:
    """Fill `gn` (n, N) with the agents' normalised scores, and `s` (n,) with the volatility known before each row.

    delay: good rows from decision to fill; mid: (n,) prices; cost: (n,) of a unit traded, as a share of price; warm:
    (n,) 0 in rows of the warm-up, which are not scored; target: (n, N) positions that the agents propose. See
    `windvane.metamodel.learning.scores` for the formula.
    """
    market = scores.Moments(np.zeros(2, np.int64), np.zeros(4))
    for t in range(target.shape[0]):
        r, s[t], paid = scores.observe(market, mid[t], cost[t], warm[t] != 0)
        if warm[t] != 0 and t >= delay + 2:
            scores.score(target, t, delay, r, s[t], paid, gn[t])
