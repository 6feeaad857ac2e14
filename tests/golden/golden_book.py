"""The golden books: what a fixed simulated market gave when it was last looked at.

Run `python tests/golden/golden_book.py` to write the digests again, and only where results were meant to change.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from windvane.agents.factory import RULES
from windvane.metamodel.base.account import REASONS
from windvane.metamodel.base.config import Costs, TradingConfig, WeighingConfig, digest
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.simulation.market import BAR, simulate
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    Batch,
    BookClosed,
    BookOpened,
    Decisions,
    Event,
    Fills,
    Orders,
    Ticks,
    join,
)

HOME = Path(__file__).with_name("digests.json")
DELAYS = (0, 1)
TICKS, SEED, ENDS = 3000, 11, 4


def settings(delay: int) -> TradingConfig:
    """Every setting that matters is written out, so that a new default changes nothing here."""
    return TradingConfig(
        interval=BAR,
        stale_after=10 * BAR,
        agents=tuple(RULES),
        capital=1_000_000.0,
        lot=1e-8,
        min_order=1e-3,
        on_halt="next-day",
        costs=Costs(fee_bp=1.0, slippage_bp=0.5, delay=delay),
        limits=RiskLimits(
            volatility_target=0.4,
            var_95=0.05,
            daily_loss=0.03,
            max_drawdown=0.25,
            max_turnover=20.0,
            max_spread_bp=50.0,
            price_collar=0.2,
        ),
        weighing=WeighingConfig(
            max_agent_weight=0.4,
            min_diversification_agents=4,
            weight_temperature=1.0,
            meta_training_frequency=10,
            learner_lag=32,
        ),
    )


def events(delay: int) -> list[Event]:
    """All that is on a topic of the run."""
    m = simulate("standard", TICKS, SEED)
    config, seen = settings(delay), list[Event]()
    runner = EmbeddedRunner(lambda topic, event: seen.append(event))
    rows = Ticks(
        book="golden",
        seq=np.arange(TICKS),
        flags=np.zeros(TICKS, np.int64),
        **{name: getattr(m, name) for name in m._fields if name not in ("regime", "fee_bp")},
    )
    opened = BookOpened(book="golden", config=config, digest=digest(config))
    runner.feed([opened, rows, BookClosed(book="golden", last=TICKS - 1)])
    return seen


def digested(delay: int) -> dict[str, Any]:
    """What is compared: counts, the ends of the orders and fills, and where account and learner came to."""
    seen = events(delay)

    def rows(kind: type[Batch]) -> Any:
        return join([e for e in seen if isinstance(e, kind)])

    orders, fills, decisions = rows(Orders), rows(Fills), rows(Decisions)
    told = [
        {
            "seq": int(orders.seq[i]),
            "qty": float(orders.qty[i]),
            "price": float(orders.price[i]),
            "target_after": float(orders.target_after[i]),
            "reason": REASONS[orders.reason[i]],
        }
        for i in range(len(orders))
    ]
    return {
        "orders": len(orders),
        "fills": len(fills),
        "reasons": dict(sorted(Counter(o["reason"] for o in told).items())),
        "verdicts": {str(v): n for v, n in sorted(Counter(decisions.verdicts.tolist()).items())},
        "first": told[:ENDS],
        "last": told[-ENDS:],
        "bought": float(np.cumsum(np.abs(orders.qty))[-1]),
        "fees": float(np.cumsum(fills.fee)[-1]),
        "equity": dict(zip(decisions.accounts, decisions.equities[-1].tolist(), strict=True)),
        "weights": dict(zip(decisions.agents, decisions.weights[-1].tolist(), strict=True)),
        "learner": int(decisions.learner[-1]),
    }


def write() -> None:
    """Digests of all golden books, as they come out now."""
    found = {f"delay {delay}": digested(delay) for delay in DELAYS}
    HOME.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
