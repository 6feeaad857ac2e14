"""What is counted while the events of a run stream by; its memory grows with the days of the run, not its rows."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.infra.report.confidence import ConfidenceTally
from windvane.infra.report.curves import Curves
from windvane.infra.report.days import Days
from windvane.infra.report.regimes import RegimeTally
from windvane.infra.report.shadows import ShadowTally
from windvane.metamodel.base.account import REASONS
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.trading import control
from windvane.metamodel.trading.risk import GATES
from windvane.streams import events as ev

FLAGS = {
    "heartbeat": ev.HEARTBEAT,
    "bad": ev.BAD,
    "gap": ev.GAP,
    "warming_up": ev.WARMUP,
    "benched": ev.BENCHED,
    "other_level": ev.LEVEL,
    "stray_level": ev.STRAY,
}
STATES = tuple(name.replace("-", "_") for name in control.STATES)
KEPT = 1_000
"""The last so many learner versions and controls, and so many texts of reasons, are kept; others are only counted."""


def accounts_of(config: TradingConfig) -> tuple[str, ...]:
    """Return the names of the accounts that a run with this config has, for a book without a single row.

    A book with rows names its accounts in its events.
    """
    return ("ensemble", "equal_weights", "buy_and_hold", *(f"agent:{name}" for name in config.agents))


def gates_of(verdict: int) -> str:
    """Return the names of the risk gates whose bits are set in a verdict, joined by +; "" where no gate acted."""
    bits = (k for k in range(verdict.bit_length()) if verdict >> k & 1)
    return "+".join(GATES[k] if k < len(GATES) else f"gate_{k}" for k in bits)


@dataclass
class Standing:
    """The daily statements of K accounts; every array is (K,) and holds sums since the book was opened."""

    accounts: tuple[str, ...] = ()
    days: list[int] = field(default_factory=list)
    turnover: list[Floats] = field(default_factory=list)
    fees: list[Floats] = field(default_factory=list)
    last: dict[str, Floats] = field(default_factory=dict)

    def add(self, batch: ev.Statements) -> None:
        """Add the next statements, whose days are in order.

        The last day of a book may be stated twice, before and at the book's end; then the later statement counts.
        """
        self.accounts = batch.accounts
        for i, day in enumerate(batch.day.tolist()):
            if self.days and self.days[-1] == day:
                for column in (self.days, self.turnover, self.fees):
                    column.pop()
            self.days.append(day)
            self.turnover.append(batch.turnover[i].copy())
            self.fees.append(batch.fees[i].copy())
        names = ("turnover", "fees", "orders", "exposure", "rows", "halts")
        self.last = {name: getattr(batch, name)[-1].copy() for name in names}

    def of(self, name: str, account: str) -> float | None:
        """Return the last value of column `name` for an account, or None where no statement has that account."""
        if account not in self.accounts:
            return None
        return float(self.last[name][self.accounts.index(account)])


class Tally:
    """Counts, daily figures and curves of one book, whose events are fed to it in the order of its journal.

    Decisions, orders and fills are fed in blocks that do not depend on how the events were cut into batches.
    first_live: seq of the first row of the daily figures and curves; those before it are counted, and no more.
    """

    def __init__(self, config: TradingConfig, first_live: int = 0) -> None:
        self.config = config
        self.first_live = first_live
        self.accounts = accounts_of(config)
        self.agents = config.agents
        self.rows = 0
        self.good = 0
        self.accepted = 0  # good rows, and those that ended a hole
        self.first: int | None = None  # ts of the first row, UNIX ns
        self.last: int | None = None
        self.warm: int | None = None  # ts of the first warm row
        self.flags = dict.fromkeys(FLAGS, 0)
        self.states = dict.fromkeys(STATES, 0)
        self.verdicts: Counter[str] = Counter()
        self.refused = 0  # rows in which any gate acted
        self.holes = 0  # pauses between rows longer than config.stale_after
        self.longest = 0  # ns between two rows
        self.days = Days(len(self.accounts), config.capital)
        self.standing = Standing()
        self.curves = Curves(
            {
                "pnl": "last",
                "fall": "max",
                "weights": "mean",
                "members": "mean",
                "mid": "last",
                "position": "mean",
            }
        )
        self.regimes = RegimeTally()
        self.confidence = ConfidenceTally(config, first_live)
        self._peak = np.zeros(len(self.accounts))  # (K,) highest PnL so far, at least the 0 it began with
        self.orders: Counter[str] = Counter()  # by reason
        self.reduce_only = 0
        self.fills = 0
        self.dead: Counter[str] = Counter()
        self.versions: list[ev.LearnerUpdate] = []
        self.outcomes: Counter[str] = Counter()
        self.controls: list[ev.Control] = []
        self.shadows = ShadowTally(first_live)

    def decisions(self, block: ev.Decisions) -> None:
        """Count the next block of decisions; series and curves begin with the first row after the warm-up.

        Raises ValueError where the block has other accounts or agents than those before it.
        """
        if self.rows == 0:
            self.accounts, self.agents = block.accounts, block.agents
            self.days = Days(len(self.accounts), self.config.capital)
            self._peak = np.zeros(len(self.accounts))
        elif (block.accounts, block.agents) != (self.accounts, self.agents):
            raise ValueError(f"book {block.book} changes its accounts or agents at row {block.first}")
        self._times(block.ts)
        self.regimes.show(block)
        self.confidence.decisions(block)
        self.rows += len(block)
        self.accepted += int(np.count_nonzero((block.flags & (ev.HEARTBEAT | ev.BAD)) == 0))
        self.good += int(np.count_nonzero((block.flags & ev.REPEATED) == 0))
        for name, bit in FLAGS.items():
            self.flags[name] += int(np.count_nonzero(block.flags & bit))
        for k, name in enumerate(STATES):
            self.states[name] += int(np.count_nonzero(block.state == k))
        values, counts = np.unique(block.verdicts, return_counts=True)
        for verdict, count in zip(values.tolist(), counts.tolist(), strict=True):
            self.refused += count if verdict else 0
            for gate in gates_of(verdict).split("+") if verdict else ():
                self.verdicts[gate] += count
        start = 0
        if self.warm is None:
            warm = np.flatnonzero(((block.flags & ev.WARMUP) == 0) & (block.seq >= self.first_live))
            if len(warm) == 0:
                return
            start = int(warm[0])
            self.warm = int(block.ts[start])
        self._series(ev.cut(block, start, len(block)))

    def _times(self, ts: Ints) -> None:
        """Note the first and last time of the run, and count the pauses between rows."""
        if self.first is None:
            self.first = int(ts[0])
        pauses = np.diff(ts, prepend=self.last if self.last is not None else ts[0])
        self.holes += int(np.count_nonzero(pauses > self.config.stale_after))
        self.longest = max(self.longest, int(pauses.max()))
        self.last = int(ts[-1])

    def _series(self, block: ev.Decisions) -> None:
        """Add rows after the warm-up to the daily figures and the curves."""
        self.days.add(block.ts, block.equities)
        self.regimes.decisions(block)
        pnl = (block.equities - self.config.capital) / self.config.capital
        peak = np.maximum(np.maximum.accumulate(pnl, axis=0), self._peak)
        self._peak = peak[-1].copy()
        self.curves.add(
            block.ts,
            pnl=pnl,
            fall=peak - pnl,
            weights=block.weights,
            members=block.members,
            mid=block.mid,
            position=block.position,
        )

    def count_orders(self, block: ev.Orders) -> None:
        """Count the next block of orders, by reason."""
        self.reduce_only += int(np.count_nonzero(block.reduce_only))
        for reason, count in enumerate(np.bincount(block.reason).tolist()):
            if count:
                self.orders[REASONS[reason]] += count

    def count_fills(self, block: ev.Fills) -> None:
        """Count the next block of fills; a fill of quantity 0 is not counted."""
        self.fills += int(np.count_nonzero(block.qty))

    def single(self, event: ev.Event) -> None:
        """Count an event that is not a Decisions, Orders or Fills; types that the report does not use are ignored."""
        if isinstance(event, ev.Ticks):
            self.regimes.ticks(event)
            self.confidence.ticks(event)
        elif isinstance(event, ev.Proposals):
            self.confidence.proposals(event)
        elif isinstance(event, ev.Statements):
            self.standing.add(event)
        elif isinstance(event, ev.Shadows):
            self.shadows.add(event)
        elif isinstance(event, ev.DeadLetter):
            # A reason may quote the input that it refuses, so without this bound there may be any number of them.
            known = event.reason in self.dead or len(self.dead) < KEPT
            self.dead[event.reason if known else "other"] += 1
        elif isinstance(event, ev.LearnerUpdate):
            self.outcomes[event.outcome] += 1
            self.versions.append(event)
            del self.versions[:-KEPT]
        elif isinstance(event, ev.Control):
            self.controls.append(event)
            del self.controls[:-KEPT]
