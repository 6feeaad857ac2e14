"""The evaluation's table: figures of every method over markets, each market paired with equal weights on it."""

import math
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.agents.errors import WindvaneError
from windvane.infra.evaluation.books import Books, books
from windvane.infra.evaluation.methods import BEST, EQUAL, ORACLE, names, targets
from windvane.infra.evaluation.retrained import Swaps
from windvane.infra.evaluation.rows import Rows
from windvane.infra.report.significance import YEAR, gain


class Figures(NamedTuple):
    """The figures of all K methods on one market; every array is (K,), in the order of `methods`."""

    methods: tuple[str, ...]
    sharpe: Floats
    drawdown: Floats
    days_won: Floats
    earned: Floats  # a year, units of capital
    turnover: Floats  # a day, units of capital
    low: Floats  # of the gain: 2.5 % quantile of a bootstrap of blocks of days, NaN unless asked for
    high: Floats
    p: Floats


def figures(rows: Rows, swaps: Swaps | None = None, *, bootstrap: bool = False) -> Figures:
    """Run every method on one market and return its figures.

    swaps: the versions of the predictor, as `retrained.versions` returns them, or None to leave the predictor out;
    bootstrap: whether to compute the interval and p of each gain over equal weights.
    """
    by_method = dict(targets(rows, swaps))
    own = books(rows, rows.target)
    if np.isnan(own.sharpe).all():
        raise WindvaneError(
            "no agent's Sharpe ratio is known: evaluate on a market of more days, in which they trade"
        )
    best = int(np.nanargmax(own.sharpe))
    by_method[BEST] = rows.target[:, best]
    order = names(ORACLE in by_method, swaps is not None)
    accounts = books(rows, np.stack([by_method[name] for name in order], axis=1))
    shape = len(order)
    low, high, p = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    if bootstrap:
        for k in range(1, shape):
            difference = gain(accounts.returns[:, k], accounts.returns[:, 0], seed=0)
            for into, value in ((low, difference.low), (high, difference.high), (p, difference.p)):
                into[k] = np.nan if value is None else value
    return Figures(
        order,
        accounts.sharpe,
        accounts.drawdown,
        accounts.days_won,
        _yearly(accounts),
        accounts.turnover,
        low,
        high,
        p,
    )


def _yearly(accounts: Books) -> Floats:
    """(K,) earned in a year, units of capital."""
    return np.asarray(accounts.returns.mean(axis=0) * YEAR)


def table(markets: list[Figures]) -> list[dict[str, Any]]:
    """Return a row for each method, with figures over all markets; a figure that a method does not have is None.

    sharpe: mean over markets; gain: over equal weights, se its standard error, p of no gain (paired t test over
    markets, of one market the bootstrap's); worst: least gain of a market; drawdown_ratio: mean of max drawdown over
    equal weights'; days_won: share of UTC days; regret: what the best agent in hindsight earned more, a year, units of
    capital; oracle_gap: Sharpe that is missing to the oracle; way: share of the way from equal weights to it.
    """
    order = markets[0].methods
    simulated = ORACLE in order
    many = {name: np.array([getattr(f, name) for f in markets]) for name in Figures._fields[1:]}
    sharpe, out = many["sharpe"], []
    for k, name in enumerate(order):
        gained = sharpe[:, k] - sharpe[:, 0]
        missing = sharpe[:, -1] - sharpe[:, k] if simulated else np.full(len(markets), np.nan)
        reach = sharpe[:, -1].mean() - sharpe[:, 0].mean() if simulated else math.nan
        se, p = _error(markets, gained, many, k) if name != EQUAL else (math.nan, math.nan)
        row = {
            "sharpe": sharpe[:, k].mean(),
            "gain": gained.mean(),
            "se": se,
            "p": p,
            "worst": gained.min(),
            "drawdown_ratio": (many["drawdown"][:, k] / many["drawdown"][:, 0]).mean(),
            "days_won": many["days_won"][:, k].mean(),
            "regret": (many["earned"][:, 1] - many["earned"][:, k]).mean(),
            "oracle_gap": missing.mean(),
            "way": gained.mean() / reach if simulated else math.nan,
            "turnover": many["turnover"][:, k].mean(),
            "low": many["low"][0, k] if len(markets) == 1 else math.nan,
            "high": many["high"][0, k] if len(markets) == 1 else math.nan,
        }
        plain = {key: float(value) if math.isfinite(value) else None for key, value in row.items()}
        out.append({"method": name, **plain})
    return out


def _error(markets: list[Figures], gained: Floats, many: dict[str, Floats], k: int) -> tuple[float, float]:
    """Standard error of a mean gain, and p of no gain: a paired t test, or for one market its bootstrap."""
    if len(markets) == 1:
        return float(many["high"][0, k] - many["low"][0, k]) / 3.92, float(many["p"][0, k])
    from scipy.stats import ttest_1samp

    if not gained.std() > 0.0:
        return 0.0, math.nan
    return float(gained.std(ddof=1) / len(gained) ** 0.5), float(ttest_1samp(gained, 0.0).pvalue)
