"""Ratios of a run's figures, which are None where they cannot be said."""

import math

from windvane.agents.base import Floats
from windvane.infra.report.significance import YEAR


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is None, NaN or infinite, none of which JSON can hold as a number."""
    return float(value) if value is not None and math.isfinite(value) else None


def ratio(above: float, below: float) -> float | None:
    """Return above / below, or None where `below` is 0 or the quotient is not finite."""
    return finite(above / below) if below else None


def sharpe(returns: Floats) -> float | None:
    """Return the annualised Sharpe ratio (times sqrt(365)) of daily returns (D,).

    It is None, which is compared with nothing, where all returns are equal or there are fewer than two.
    """
    import empyrical

    if len(returns) < 2 or not returns.max() > returns.min():
        return None
    return finite(empyrical.sharpe_ratio(returns, annualization=YEAR))
