"""Plays rows to the real ensemble with one agent, so that suites write markets and not columns."""

from typing import Any

import numpy as np

from windvane.metamodel.base.config import Costs, TradingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.rows import BAD, GAP, HEARTBEAT, LEVEL, WARMUP
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.control import FLATTEN, HALT, RESTRICT, RESUME
from windvane.metamodel.trading.ensemble import Ensemble
from windvane.metamodel.trading.risk import ACTIVE, GATES, HALTED, REDUCE_ONLY

__all__ = ["ACTIVE", "BAD", "DAY", "FLATTEN", "GAP", "HALT", "HALTED", "HEARTBEAT", "LEVEL", "MIDNIGHT",
           "REDUCE_ONLY", "RESTRICT", "RESUME", "SECOND", "WARMUP", "Trace", "ensemble", "names", "ready"]  # fmt: skip

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
MIDNIGHT = 11_600 * DAY


def names(bits: int) -> set[str]:
    """Verdicts by name."""
    return {gate for k, gate in enumerate(GATES) if bits >> k & 1}


def ensemble(
    costs: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, **settings: Any
) -> Ensemble:
    """Capital 1000 in thousandths of a coin, no fee, no least order, fills at the next row unless told."""
    given = {"agents": ("a",), "capital": 1000.0, "lot": 1e-3, "min_order": 0.0} | settings
    terms, gates = Costs(**({"fee_bp": 0.0} | (costs or {}))), RiskLimits(**(limits or {}))
    return Ensemble(TradingConfig(costs=terms, limits=gates, **given))


class Trace:
    """What n rows gave, by row; every column is a number or (n,), and time goes on where it stood."""

    def __init__(self, e: Ensemble, target: Any, mid: Any = 100.0, **given: Any) -> None:
        columns = {"target": target, "mid": mid, "flags": 0, "control": 0, "confidence": 1.0, "every": SECOND}
        columns |= given
        shape = np.broadcast_shapes((1,), *(np.shape(v) for v in columns.values()))
        full = {k: np.array(np.broadcast_to(v, shape)) for k, v in columns.items()}
        state, n = e.state(), shape[0]
        last = max(int(state["clock.ts"][0]), MIDNIGHT)
        ts = full["ts"] if "ts" in full else last + np.cumsum(full["every"])
        self.round = e.step(
            Inputs.of(
                np.arange(n) + int(state["clock.seq"][0]) + 1,
                ts.astype(np.int64),
                full["flags"].astype(np.int64),
                np.zeros((n, 50)),
                full["mid"].astype(float),
                full["target"].astype(float)[:, None],
                full["confidence"].astype(float)[:, None],
                **{k: full[k].astype(float) for k in ("bid", "ask", "size") if k in full},
                control=full["control"].astype(np.int64),
            )
        )
        o, orders, fills = self.round.outputs, self.round.orders, self.round.fills
        self.out = o
        self.orders = dict(o.order[["row", "qty"]][:orders].tolist())
        self.kinds = o.order[["reduce_only", "reason"]][:orders].tolist()
        self.fills = {row: [*values] for row, _, *values in o.fill[:fills].tolist()}
        self.fill_seq = o.fill["order_seq"][:fills].tolist()
        self.verdicts = [names(bits) for bits in o.verdict.tolist()]
        self.states, self.equity = o.state.tolist(), o.equity.tolist()
        self.position = o.position.tolist()
        self.statements = o.statement[: self.round.statements]


def ready(e: Ensemble, mid: float = 100.0, **given: Any) -> Ensemble:
    """Three good rows of warm-up: the next row may trade."""
    Trace(e, [0.0] * 3, mid, flags=WARMUP, **given)
    return e
