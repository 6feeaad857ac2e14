"""SimulatorRules: what an environment lets an agent do, what it costs, and what is rewarded."""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from windvane.metamodel.base import account
from windvane.metamodel.base.config import Costs, check

ACTIONS = ("trade", "target")
REWARDS = ("profit", "sharpe", "drawdown")

CAPITAL, LOT = 1_000_000.0, 1e-8
"""Currency and base currency: those of a book that says nothing else."""


class SimulatorRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of an environment; raises ConfigError for a value out of range."""

    costs: Annotated[Costs, Meta(description="fee, slippage, half spread and delay of every fill")] = Costs(
        delay=0
    )
    actions: Annotated[
        str,
        Meta(description="trade: sell, hold, buy one step; target: the position itself, short, none, long"),
    ] = "trade"
    discrete: Annotated[bool, Meta(description="actions are 0, 1, 2; else the position, -1 to 1")] = True
    max_position: Annotated[float, Meta(description="what position 1 is, units of capital")] = 1.0
    min_order: Annotated[float, Meta(description="smaller orders are not sent, of capital")] = 1e-3
    stop_loss: Annotated[
        float, Meta(description="share of the entry price by which a position may lose; 0: no stop")
    ] = 0.0
    longest_hold: Annotated[int, Meta(description="rows after which a position is closed; 0: no limit")] = 0
    reward: Annotated[str, Meta(description="profit, sharpe (differential) or drawdown (penalised)")] = (
        "profit"
    )
    sharpe_rate: Annotated[float, Meta(description="sharpe: how fast its moments forget, a row")] = 0.01
    drawdown_penalty: Annotated[
        float, Meta(description="drawdown: what a new largest fall costs, times the fall")
    ] = 1.0
    sees_position: Annotated[bool, Meta(description="the state ends with the position")] = False

    def __post_init__(self) -> None:
        check(self.actions in ACTIONS, f"actions is {self.actions!r}: give one of {', '.join(ACTIONS)}")
        check(self.reward in REWARDS, f"reward is {self.reward!r}: give one of {', '.join(REWARDS)}")
        check(0 < self.max_position <= 100, f"max_position is {self.max_position}: give above 0, up to 100")
        check(0 <= self.min_order < 1, f"min_order is {self.min_order}: give a share of capital from 0 to 1")
        check(
            0 <= self.stop_loss < 1,
            f"stop_loss is {self.stop_loss}: give a share of the entry price below 1, or 0",
        )
        check(self.longest_hold >= 0, f"longest_hold is {self.longest_hold}: give 0 or more rows")
        check(0 < self.sharpe_rate < 1, f"sharpe_rate is {self.sharpe_rate}: give a rate between 0 and 1")
        check(
            0 <= self.drawdown_penalty <= 1000,
            f"drawdown_penalty is {self.drawdown_penalty}: give 0 to 1000",
        )
        check(
            self.costs.participation == 0.0,
            "participation limits no fill of an environment: leave it at 0",
        )


class Plain(NamedTuple):
    """The rules as the kernel reads them."""

    steps: bool  # an action moves the position by one step
    discrete: bool
    most: float  # units of capital
    min_order: float  # currency
    stop: float  # share of the entry price
    longest: int  # rows
    reward: int  # place in REWARDS
    rate: float
    penalty: float
    sees: bool


def plain(rules: SimulatorRules) -> tuple[account.Terms, Plain]:
    """Return costs and rules in the units of the kernel."""
    return account.new_terms(rules.costs, CAPITAL, LOT), Plain(
        steps=rules.actions == "trade",
        discrete=rules.discrete,
        most=rules.max_position,
        min_order=rules.min_order * CAPITAL,
        stop=rules.stop_loss,
        longest=rules.longest_hold,
        reward=REWARDS.index(rules.reward),
        rate=rules.sharpe_rate,
        penalty=rules.drawdown_penalty,
        sees=rules.sees_position,
    )
