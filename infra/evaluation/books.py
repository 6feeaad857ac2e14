"""What targets come to: one account a method, at the same prices and costs, whole lots, no limits but a least order."""

import math
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.infra.evaluation.rows import Rows
from windvane.infra.report.significance import annual
from windvane.metamodel.base import account
from windvane.metamodel.base.records import Records
from windvane.metamodel.learning import scores

_CAPITAL, _LOT, _LEAST = 1e6, 1e-8, 1e-3
_DAY = 86_400_000_000_000


class Books(NamedTuple):
    """Of K methods."""

    returns: Floats  # (D, K) of the UTC days that are scored, shares of capital
    drawdown: Floats  # (K,) largest fall from a peak, a share of capital
    turnover: Floats  # (K,) traded a day, units of capital

    @property
    def sharpe(self) -> Floats:
        """(K,) a year."""
        return annual(self.returns.T)

    @property
    def days_won(self) -> Floats:
        """(K,) share of days with a return above 0."""
        return (self.returns > 0.0).mean(axis=0)


class _Market(NamedTuple):
    """What the accounts trade on."""

    first: int  # row that is scored
    day: Ints  # (n,) UTC day, counted from that of the first row that is scored
    mid: Floats  # (n,)
    bid: Floats  # (n,)
    ask: Floats  # (n,)


def books(rows: Rows, targets: Floats) -> Books:
    """Accounts that follow targets (n, K), decided row by row and filled `delay` rows later."""
    day = (rows.ts - 1) // _DAY
    day = day - day[rows.first]
    k = targets.shape[1]
    returns, drawdown, turnover = np.zeros((int(day[-1]) + 1, k)), np.zeros(k), np.zeros(k)
    terms = account.new_terms(rows.costs, _CAPITAL, _LOT)
    accounts, pending = account.new_accounts(k, terms)
    market = _Market(rows.first, day, rows.mid, rows.bid, rows.ask)
    books = Books(returns, drawdown, turnover)
    _trade(accounts, pending, terms, market, targets, books)
    return books._replace(turnover=turnover / len(returns))


@kernel
def _trade(
    accounts: Records, pending: Ints, terms: account.Terms, market: _Market, targets: Floats, out: Books
) -> None:
    """Play every account (K,) through the rows, and add up what comes of it; turnover is left as a sum."""
    mid, bid, ask = market.mid, market.bid, market.ask
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
            if t >= market.first:
                out.returns[market.day[t], k] += (pnl - before) / terms.capital
            if t == market.first:
                a.high, a.drawdown, out.turnover[k] = pnl, 0.0, -a.turnover
            before = pnl
        out.drawdown[k] = a.drawdown
        out.turnover[k] += a.turnover


def yearly_volatility(rows: Rows) -> Floats:
    """(n,) a year, as the risk gates see it when they check the order of a row."""
    out = np.empty(len(rows.mid))
    _volatility(rows.ts, rows.mid, out)
    return out


@kernel
def _volatility(ts: Ints, mid: Floats, out: Floats) -> None:
    market = scores.Market(np.zeros(2, np.int64), np.zeros(4))
    spacing = 0.0
    for t in range(mid.shape[0]):
        scores.observe(market, mid[t], 0.0, False)
        if t > 0:
            spacing += max(0.01, 1.0 / t) * (ts[t] - ts[t - 1] - spacing)
        out[t] = math.sqrt(max(market.value[1], 1e-12) * _DAY / max(spacing, 1.0) * 365.0)


@kernel
def agent_scores(
    delay: int, mid: Floats, cost: Floats, warm: Ints, target: Floats, gn: Floats, s: Floats
) -> None:
    """Fill gn (n, N) with the normalised scores of targets (n, N), and s (n,) with the volatility before each row."""
    market = scores.Market(np.zeros(2, np.int64), np.zeros(4))
    for t in range(target.shape[0]):
        r, s[t], paid = scores.observe(market, mid[t], cost[t], warm[t] != 0)
        if warm[t] != 0 and t >= delay + 2:
            scores.score(target, t, delay, r, s[t], paid, gn[t])
