"""Whether confidence means what it says: forecasts of agents beside what came of their proposals.

The outcome of a proposal is 1 where its target, held over the next 32 good rows, earned more than the change to it
cost, at the prices, quotes, costs and delay of the run. Forecasts are scored as Brier did in 1950: the mean of
(p - outcome)².
"""

from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.confidence import HORIZON
from windvane.metamodel.base.config import TradingConfig
from windvane.streams import events as ev

BINS = 10
_CELLS = 1000
"""Forecasts are counted in cells of a thousandth, and bins of about as many rows each are made of these at the end."""


class ConfidenceTally:
    """Counts forecasts and outcomes of one book, agent by agent; its memory does not grow with the rows of the run.

    It is fed the book's events in order. Ticks and proposals come before the decisions on them, so it keeps those of
    rows that are not decided yet. first_live: seq of the first row that is scored.
    """

    def __init__(self, config: TradingConfig, first_live: int = 0) -> None:
        self.agents, self._costs, self._first_live = config.agents, config.costs, first_live
        self._said: list[ev.Proposals] = []
        self._quoted: list[tuple[Ints, Floats]] = []  # seq and half spread, share of mid
        count = len(self.agents)
        self._last, self._log = np.zeros(count), 0.0  # targets and log price of the last good row
        self._mid: float | None = None
        self._open = np.zeros(
            (0, 3 + 3 * count)
        )  # rows that are not judged yet, with what `_judge` needs of them
        self._rows, self._forecast, self._paid = (np.zeros((count, _CELLS)) for _ in range(3))
        self._square = np.zeros(count)  # sum of (p - outcome)²

    def ticks(self, event: ev.Ticks) -> None:
        """Keep the half spreads of these rows, if they have quotes, until the decisions on them come."""
        if event.bid is not None and event.ask is not None:
            self._quoted.append((event.seq, (event.ask - event.bid) / (event.ask + event.bid)))

    def proposals(self, event: ev.Proposals) -> None:
        """Keep what agents said of these rows; of several answers for a row the first counts."""
        self._said.append(event)

    def decisions(self, block: ev.Decisions) -> None:
        """Judge the proposals whose 32 rows are over with the next decisions."""
        target, confidence = self._proposed(block)
        half = self._half_spread(block.seq)
        good = np.flatnonzero((block.flags & ev.REPEATED) == 0)
        if len(good) == 0:
            return
        target, confidence, mid = target[good], confidence[good], block.mid[good]
        held = _standing(np.vstack([self._last, target]))
        changed = np.abs(np.diff(held, axis=0))
        before = np.append(mid[0] if self._mid is None else self._mid, mid[:-1])
        moved = np.where(block.flags[good] & ev.STRAY, 0.0, np.log(mid / before))
        path = self._log + np.cumsum(moved)
        self._last, self._log, self._mid = held[-1], float(path[-1]), float(mid[-1])
        scored = ((block.flags[good] & ev.WARMUP) == 0) & (block.seq[good] >= self._first_live)
        cost = half[good] + (self._costs.fee_bp + self._costs.slippage_bp) * 1e-4
        forecast = np.where(np.isnan(target) | (target == 0.0), np.nan, confidence)
        rows = np.column_stack([scored, path, cost, held[1:], changed, forecast])
        self._judge(np.concatenate([self._open, rows]))

    def _judge(self, rows: Floats) -> None:
        """Count the proposals of the first good rows, and keep those whose future is not known yet."""
        delay, count = self._costs.delay, len(self.agents)
        known = max(len(rows) - delay - HORIZON, 0)
        self._open = rows[known:].copy()
        filled = rows[delay : delay + known]
        moved = rows[delay + HORIZON : delay + HORIZON + known, 1] - filled[:, 1]
        for i in range(count):
            target, changed, forecast = (rows[:known, 3 + part * count + i] for part in range(3))
            used = (rows[:known, 0] != 0.0) & ~np.isnan(forecast)
            paid = (target * moved > changed * filled[:, 2])[used].astype(np.float64)
            p = forecast[used]
            cell = np.minimum((p * _CELLS).astype(np.int64), _CELLS - 1)
            self._rows[i] += np.bincount(cell, minlength=_CELLS)
            self._forecast[i] += np.bincount(cell, p, minlength=_CELLS)
            self._paid[i] += np.bincount(cell, paid, minlength=_CELLS)
            self._square[i] += float(((p - paid) ** 2).sum())

    def _proposed(self, block: ev.Decisions) -> tuple[Floats, Floats]:
        """Targets and confidences (n, A) of these rows, NaN where an agent said nothing that counts."""
        n, first, count = len(block), block.first, len(self.agents)
        target, confidence = np.full((n, count), np.nan), np.full((n, count), np.nan)
        for said in self._said:
            rows = np.flatnonzero((said.seq >= first) & (said.seq <= block.last))
            at = said.seq[rows] - first
            for place, name in enumerate(said.agents):
                if name not in self.agents or len(rows) == 0:
                    continue
                i = self.agents.index(name)
                new = np.isnan(target[at, i])
                target[at[new], i] = said.target[rows[new], place]
                confidence[at[new], i] = said.confidence[rows[new], place]
        self._said = [said for said in self._said if said.last > block.last]
        out = np.zeros((n, count), np.bool_)
        if block.awake is not None:
            out |= block.awake == 0
        if block.benched is not None:
            out |= block.benched != 0
        target[out], confidence[out] = np.nan, np.nan
        return target, confidence

    def _half_spread(self, seq: Ints) -> Floats:
        """Half spreads (n,) of these rows, as shares of mid; those of earlier rows are then dropped."""
        half = np.full(len(seq), self._costs.half_spread_bp * 1e-4)
        for rows, quoted in self._quoted:
            inside = (rows >= seq[0]) & (rows <= seq[-1])
            half[rows[inside] - seq[0]] = quoted[inside]
        self._quoted = [(rows, quoted) for rows, quoted in self._quoted if rows[-1] > seq[-1]]
        return half

    def figures(self) -> dict[str, Any]:
        """Return what metrics.json holds of confidence; a figure of no scored row is None."""
        one = {name: self._figures(slice(i, i + 1)) for i, name in enumerate(self.agents)}
        return {"horizon": HORIZON, **self._figures(slice(None)), "agents": one}

    def _figures(self, which: slice) -> dict[str, Any]:
        rows, forecast, paid = (kept[which].sum(axis=0) for kept in (self._rows, self._forecast, self._paid))
        n = float(rows.sum())
        if n == 0.0:
            return {"rows": 0, "brier": None, "base_rate": None, "base_rate_brier": None, "reliability": []}
        base = float(paid.sum()) / n
        return {
            "rows": round(n),
            "brier": float(self._square[which].sum()) / n,
            "base_rate": base,
            "base_rate_brier": base * (1.0 - base),
            "reliability": _reliability(rows, forecast, paid),
        }


def _reliability(rows: Floats, forecast: Floats, paid: Floats) -> list[dict[str, Any]]:
    """Mean forecast and frequency of the outcome in ten bins of about as many rows each, from those of the cells."""
    middle = np.cumsum(rows) - 0.5 * rows
    place = np.minimum((BINS * middle / rows.sum()).astype(np.int64), BINS - 1)
    count, said, came = (np.bincount(place, column, minlength=BINS) for column in (rows, forecast, paid))
    return [
        {"p": one[1] / one[0], "frequency": one[2] / one[0], "rows": round(one[0])}
        for one in np.column_stack([count, said, came]).tolist()
        if one[0] > 0.0
    ]


def _standing(target: Floats) -> Floats:
    """Targets (n, A) with the last one in place of each that is NaN; the first row has none."""
    last = np.maximum.accumulate(np.where(np.isnan(target), 0, np.arange(len(target))[:, None]), axis=0)
    return np.take_along_axis(target, last, axis=0)
