"""What positions on a tape earn after costs: of a policy, of buy and hold, and of the best rule with a threshold."""

import itertools
import math
import statistics
from typing import Any, NamedTuple

import msgspec
import numpy as np

from windvane.agents.base import Agent, Floats
from windvane.metamodel.base.times import DAY
from windvane.metamodel.features.columns import NAMES
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.simulator_rules import SimulatorRules
from windvane.metamodel.simulation.tape import Tape
from windvane.metamodel.trader.tracker import yearly_sharpe

ENTER = (0.5, 1.0, 1.5, 2.0)
LEAVE = (0.0, 0.5)
"""Thresholds of rules: deviations from the mean at which one enters, and the share of that at which one leaves."""


class Rule(NamedTuple):
    """Goes with a feature, or against it, once it is far enough from its mean, until it is near again."""

    column: int
    side: int  # 1 with the feature, -1 against it
    centre: float
    spread: float
    enter: float  # spreads from the centre
    leave: float

    @property
    def words(self) -> str:
        """The rule in words."""
        way = "with" if self.side > 0 else "against"
        name = NAMES[self.column] if self.column < len(NAMES) else f"column {self.column}"
        return f"{way} {name} beyond {self.enter:g}, until {self.leave:g}"

    def positions(self, tape: Tape) -> Floats:
        """The positions (n,) of the rule at the rows of a tape; every market begins without one."""
        z = (tape.x[:, self.column].astype(np.float64) - self.centre) / self.spread
        said = np.where(np.abs(z) >= self.enter, np.sign(z) * self.side, np.nan)
        said[np.abs(z) < max(self.leave, 1e-12)] = 0.0
        if self.leave == 0.0:  # leaves where the feature crosses its mean
            crossed = np.flatnonzero(np.sign(z[1:]) * np.sign(z[:-1]) < 0.0) + 1
            said[crossed] = np.where(np.isnan(said[crossed]), 0.0, said[crossed])
        starts = tape.pieces[:, 0]
        said[starts] = np.where(np.isnan(said[starts]), 0.0, said[starts])
        last = np.maximum.accumulate(np.where(np.isnan(said), 0, np.arange(len(said))))
        return said[last]


def best_rule(tape: Tape, rules: SimulatorRules) -> Rule:
    """Return the rule that would have earned most on a tape, after costs; every feature is tried in both directions.

    Costs and delay are counted as shares of capital a change of position, which is near what an account pays.
    """
    ends = tape.pieces[:, 1] - 1
    gain = np.append(tape.mid[1:] / tape.mid[:-1] - 1.0, 0.0)
    gain[ends] = 0.0
    half = np.where(
        np.isnan(tape.ask), rules.costs.half_spread_bp * 1e-4, (tape.ask - tape.bid) / (2.0 * tape.mid)
    )
    cost = half + (rules.costs.fee_bp + rules.costs.slippage_bp) * 1e-4
    best, most = Rule(0, 1, 0.0, 1.0, math.inf, math.inf), 0.0
    for column in range(tape.x.shape[1]):
        x = tape.x[:, column].astype(np.float64)
        if not x.std() > 1e-9:
            continue
        for enter, share in itertools.product(ENTER, LEAVE):
            rule = Rule(column, 1, float(x.mean()), float(x.std()), enter, enter * share)
            position = rule.positions(tape)
            for delay in range(rules.costs.delay):
                position = np.where(
                    np.isin(np.arange(len(x)), tape.pieces[:, 0] + delay), 0.0, np.roll(position, 1)
                )
            paid = float((np.abs(np.diff(position, prepend=0.0)) * cost).sum())
            earned = float((position * gain).sum())
            if abs(earned) - paid > most:
                best, most = rule._replace(side=1 if earned > 0.0 else -1), abs(earned) - paid
    return best


def judged(tape: Tape, rules: SimulatorRules, position: Floats) -> dict[str, Any]:
    """Return what positions (n,) earn: figures by name, means over the markets of a tape where it has several.

    `profit` is in units of capital, after costs; `sharpe` is of UTC days, a year, None where it cannot be said;
    `drawdown` is the largest fall of any market; `trades` counts changes of position; `exposed` is the mean absolute
    position, `short` the share of rows below 0.
    """
    plain = msgspec.structs.replace(
        rules,
        actions="target",
        discrete=False,
        reward="profit",
        stop_loss=0.0,
        longest_hold=0,
        sees_position=False,
    )
    first, end = tape.pieces.T
    lanes = Lanes(tape._replace(x=tape.x[:, :1].copy()), plain, len(first), steps=1)
    lanes.place(first, end - 1)
    length = end - first
    longest = int(length.max())
    earned = np.zeros((longest - 1, len(first)))
    for t in range(longest - 1):
        going = t < length - 1
        at = np.minimum(first + t, end - 1)
        step = lanes.step(np.where(going, position[at], 0.0))
        earned[t] = np.where(going, step.reward, 0.0)
    daily: list[Floats] = []
    fall = 0.0
    for k, (a, b) in enumerate(zip(first, end, strict=True)):
        path = earned[: b - a - 1, k]
        day = (tape.ts[a + 1 : b] - 1) // DAY
        daily.append(np.add.reduceat(path, np.flatnonzero(np.append(True, day[1:] != day[:-1]))))
        whole = np.append(0.0, path.cumsum())
        fall = max(fall, float((np.maximum.accumulate(whole) - whole).max()))
    sharpe = yearly_sharpe(np.concatenate(daily))
    return {
        "profit": float(earned.sum() / len(first)),
        "sharpe": None if math.isnan(sharpe) else sharpe,
        "drawdown": fall,
        "trades": int((np.diff(position) != 0.0).sum()),
        "exposed": float(np.abs(position).mean()),
        "short": float((position < 0.0).mean()),
        "rows": len(tape.mid),
        "markets": len(first),
    }


def policy_positions(agent: Agent, tape: Tape, fresh: dict[str, Floats]) -> Floats:
    """Return the targets (n,) of an agent at the rows of a tape; every market begins with its state `fresh`."""
    out = np.empty(len(tape.mid))
    for first, end in tape.pieces:
        agent.restore(fresh)
        rows = slice(int(first), int(end))
        out[rows] = agent.propose(tape.x[rows], tape.mid[rows], np.ones(int(end - first), np.int64)).target
    return out


def walked_forward(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures of the test parts of folds, by name in each, with the mean of their profits by name."""
    names = ("policy", "buy_and_hold", "best_rule")
    mean = {name: statistics.fmean(fold[name]["profit"] for fold in folds) for name in names}
    return {"folds": folds, "mean_profit": mean}
