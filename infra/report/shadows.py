"""What agents in the shadow of a run came to: they had accounts of their own, and no part in anything else."""

from typing import Any

import numpy as np

from windvane.infra.report.agents import about
from windvane.infra.report.ratios import sharpe
from windvane.metamodel.base.config import TradingConfig
from windvane.streams.events import Shadows

_COLUMNS = ("pnl", "turnover", "fees", "orders", "exposure", "rows", "drawdown", "score")


class ShadowTally:
    """The daily statements of shadows; its memory grows with the days of the run."""

    def __init__(self, first_live: int = 0) -> None:
        self._first_live = first_live
        self._days: dict[str, dict[int, dict[str, float]]] = {}  # by id and day: the statement
        self._before: dict[str, dict[str, float]] = {}  # by id: the last one before the first live row

    def add(self, batch: Shadows) -> None:
        """Add the next statements; of two of one day, the later counts."""
        for k, name in enumerate(batch.agents):
            for t, (seq, day) in enumerate(zip(batch.seq.tolist(), batch.day.tolist(), strict=True)):
                told = {column: float(getattr(batch, column)[t, k]) for column in _COLUMNS}
                if seq < self._first_live:
                    self._before[name] = told
                else:
                    self._days.setdefault(name, {})[day] = told

    def figures(self, config: TradingConfig) -> dict[str, dict[str, Any]]:
        """Return what metrics.json holds of every shadow, by its id; a figure that cannot be said is None."""
        found = about(config.shadows, config.kinds_of_shadows, config.shadow_versions)
        return {name: {**told, **self._figures(name, config.capital)} for name, told in found.items()}

    def _figures(self, name: str, capital: float) -> dict[str, Any]:
        days = self._days.get(name, {})
        if not days:
            return dict.fromkeys(("days", "total_return", "sharpe", "max_drawdown", "turnover_per_day", "trades",
                                  "fees", "exposure", "score"))  # fmt: skip
        before = self._before.get(name, dict.fromkeys(_COLUMNS, 0.0))
        last = days[max(days)]
        pnl = np.array([before["pnl"], *(days[day]["pnl"] for day in sorted(days))]) / capital
        since = {column: last[column] - before[column] for column in _COLUMNS}
        return {
            "days": len(days),
            "total_return": float(pnl[-1] - pnl[0]),
            "sharpe": sharpe(np.diff(pnl)),
            "max_drawdown": last["drawdown"],
            "turnover_per_day": since["turnover"] / len(days),
            "trades": round(since["orders"]),
            "fees": since["fees"],
            "exposure": since["exposure"] / since["rows"] if since["rows"] else None,
            "score": last["score"],
        }
