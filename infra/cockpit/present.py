"""The present state of a book as JSON values: what people look at first."""

from typing import Any

import numpy as np

from windvane.infra.cockpit.timeline import FILL, ORDER, Timeline
from windvane.metamodel.base.account import REASONS
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import BAD, GAP, WARMUP
from windvane.metamodel.trading.control import STATES
from windvane.metamodel.trading.risk import GATES

_RECENT = 500
"""Rows that latency and the usual spacing of rows are taken from."""

_A_DAY = 1_440
"""Rows that gaps and bad rows are counted in."""

_LIVE_SECONDS = 3_600.0
"""A row that is decided later than this after its time is history, and its delay says nothing."""

_LEAST_OLD = 10.0
_SPACINGS = 2.5
"""Data are old after so many usual spacings of rows, and never before _LEAST_OLD seconds."""

_TEXT = 500


def state(timeline: Timeline, now: float) -> dict[str, Any]:
    """What is known of a book at a moment; now: UNIX s. A field is None where nothing has told it yet."""
    spacing = spacing_of(timeline)
    letters = timeline.letters
    told: dict[str, Any] = {
        "book": timeline.book,
        "symbol": timeline.symbol,
        "capital": timeline.capital,
        "state": "closed" if timeline.closed else None,
        "rows": timeline.last_seq + 1,
        "spacing": spacing,
        "old_after": max(_LEAST_OLD, _SPACINGS * spacing),
        "age_seconds": max(0.0, now - timeline.at) if timeline.at else None,
        **dict.fromkeys(("position", "qty", "price", "equity", "today", "open_result")),
        "dead_letters": timeline.letter_count,
        "last_dead_letter": letters[-1].reason[:_TEXT] if letters else None,
        "last_order": _last_order(timeline),
    }
    return told | _decided(timeline) if len(timeline.ring) else told


def spacing_of(timeline: Timeline) -> float:
    """Seconds from row to row, 0 where that is not known."""
    ts = timeline.ring["ts"][-_RECENT:]
    return timeline.interval or (float(np.median(np.diff(ts)) / 1e9) if len(ts) > 1 else 0.0)


def _decided(timeline: Timeline) -> dict[str, Any]:
    """The fields that the newest row decides."""
    ring, holding, capital = timeline.ring, timeline.holding, timeline.capital
    numbers = {
        name: int(ring[name][-1]) for name in ("ts", "flags", "state", "verdicts", "learner", "controls")
    }
    price, position, equity, target = (float(ring[n][-1]) for n in ("price", "position", "equity", "target"))
    start = timeline.today.start
    regime, flags = ring["regime"][-1], ring["flags"][-_A_DAY:]
    return {
        "state": "closed" if timeline.closed else STATES[numbers["state"]],
        "warming_up": bool(numbers["flags"] & WARMUP),
        "ts": numbers["ts"] // 1_000_000,
        "price": price,
        "position": position,
        "qty": position * capital / price if capital and price else None,
        "equity": equity,
        "today": None if start is None else equity - start,
        "today_whole": timeline.today.whole,
        "open_result": holding.result(price) if capital else None,
        "entry": holding.entry or None,
        "entry_known": holding.known,
        "target": target,
        "verdicts": [gate for k, gate in enumerate(GATES) if numbers["verdicts"] >> k & 1],
        "regime": None if np.isnan(regime[0]) else REGIMES[int(regime.argmax())],
        "control": numbers["controls"],
        "learner": numbers["learner"],
        "learner_outcome": None if timeline.update is None else timeline.update.outcome,
        "gaps": int(np.count_nonzero(flags & GAP)),
        "bad_rows": int(np.count_nonzero(flags & BAD)),
        "latency": _latency(ring["late"][-_RECENT:]),
    }


def _latency(late: Any) -> dict[str, float] | None:
    """Percentiles of the seconds from a row's time to its decision; None of history."""
    if not 0.0 <= float(late[-1]) < _LIVE_SECONDS:
        return None
    p50, p99 = np.percentile(late[(late >= 0.0) & (late < _LIVE_SECONDS)], (50, 99)).tolist()
    return {"p50": p50, "p99": p99}


def _last_order(timeline: Timeline) -> dict[str, Any] | None:
    """The last order, and what became of it; `answers` are fills, also those of quantity 0."""
    marks = timeline.marks
    orders = np.flatnonzero(marks["kind"] == ORDER)
    if not len(orders):
        return None
    at = orders[-1]
    seq = int(marks["seq"][at])
    of_it = (marks["kind"] == FILL) & (marks["order_seq"] == seq)
    qty, price, fee = (marks[name][of_it] for name in ("qty", "price", "fee"))
    filled = float(qty.sum())
    return {
        "seq": seq,
        "ts": int(marks["ts"][at]) // 1_000_000,
        "qty": float(marks["qty"][at]),
        "price": float(marks["price"][at]),
        "reason": REASONS[int(marks["reason"][at])],
        "answers": int(of_it.sum()),
        "filled": filled,
        "fill_price": float((qty * price).sum()) / filled if filled else None,
        "fee": float(fee.sum()),
    }
