"""Ensemble: the engine of a book, which trades on what its learner believes of the agents, within limits.

It is stepped through rows in order and reads no clock, no file and no random number.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import account
from windvane.metamodel.base.arrays import arrays, write
from windvane.metamodel.base.config import TradingConfig, check
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.regimes.classifier import unclassified
from windvane.metamodel.trading import risk
from windvane.metamodel.trading import rounds as kernels
from windvane.metamodel.trading.columns import AT_HOME, Inputs, Outputs, Resumption, new_clock

_EMPTY = np.zeros(0)
_FIXED: dict[str, Callable[[TradingConfig], Any]] = {
    "agents": lambda c: c.agents,
    "meta_learning_enabled": lambda c: c.weighing.prior[0] < sum(c.weighing.prior),
    "performance_prediction_enabled": lambda c: c.weighing.retraining,
    "regime_features_dim": lambda c: c.weighing.features,
    "cash_expert": lambda c: c.weighing.cash_expert,
    "max_orders": lambda c: c.limits.max_orders,
    "delay": lambda c: c.costs.delay,
    "capital": lambda c: c.capital,
}
"""What the arrays of an ensemble are made for, by the names that people set."""


class Round(NamedTuple):
    """What n rounds gave."""

    outputs: Outputs
    orders: int
    fills: int
    statements: int


def _resumption(config: TradingConfig) -> Resumption:
    """What `on_halt` says; a timed book is live, and there a level that nobody vouches for waits for a person."""
    after = {"stop": -1, "next-day": 0, "resume-after": config.resume_after}[config.on_halt]
    return Resumption(after, -1 if config.closing == "timed" else after)


class Ensemble:
    """The whole of a round: account, scores, learning, weights, risk, order; and the baselines beside it."""

    def __init__(self, config: TradingConfig) -> None:
        self.config = config
        self.manager = MetaLearningEnsembleManager(config.agents, config.weighing, delay=config.costs.delay)
        self.accounts = ("ensemble", "equal_weights", "buy_and_hold", *(f"agent:{a}" for a in config.agents))
        self._terms = account.new_terms(config.costs, config.capital, config.lot)
        self._gates = risk.new_gates(config.limits, config.capital, config.lot, config.min_order)
        self._account = account.new_accounts(len(self.accounts), self._terms)
        self._standing = risk.new_standing(len(self.accounts), config.limits)
        self._clock = new_clock(len(self.accounts), config.costs.delay)
        self._all = np.ones(len(config.agents), np.int64)
        self._resumption = _resumption(config)

    def reconfigure(self, config: TradingConfig) -> None:
        """Decide with other settings from the next row on; raises ConfigError where one of them is fixed by now."""
        if config == self.config:
            return
        for name, of in _FIXED.items():
            was, now = of(self.config), of(config)
            check(
                was == now,
                f"{name} was changed from {was} to {now} after this was made for it: set it back, or make another",
            )
        fresh = type(self)(config)
        self.config, self.manager.rules = config, fresh.manager.rules
        self._terms, self._gates, self._resumption = fresh._terms, fresh._gates, fresh._resumption

    def step(
        self,
        seq: Ints,
        ts: Ints,
        flags: Ints,
        x: Floats,
        mid: Floats,
        target: Floats,
        confidence: Floats,
        *,
        bid: Floats | None = None,
        ask: Floats | None = None,
        size: Floats | None = None,
        regime: Floats | None = None,
        control: Ints | None = None,
        awake: Ints | None = None,
    ) -> Round:
        """n rounds; columns (n,), x (n, 50), regime (n, 7), target and confidence (n, N).

        regime: (n, 7) posterior of the regimes, None where nobody tells it; control: (n,) codes of `control`.
        awake: (N,) 0 for agents that sleep in all these rows, None: nobody does.
        """
        n = len(seq)
        out = self._outputs(n)
        kernels.rounds(
            self._clock,
            self.manager.learner,
            self.manager.rules,
            self._account,
            self._terms,
            self._standing,
            self._gates,
            self._resumption,
            Inputs(
                seq,
                ts,
                flags,
                x,
                unclassified(n) if regime is None else regime,
                mid,
                _EMPTY if bid is None or ask is None else bid,
                _EMPTY if bid is None or ask is None else ask,
                _EMPTY if size is None else size,
                target,
                confidence,
                self._all if awake is None else awake,
                np.zeros(n, np.int64) if control is None else control,
            ),
            out,
        )
        return Round(out, int(out.counts[0]), int(out.counts[1]), int(out.counts[2]))

    def new_market(self) -> None:
        """Keep what was learned, and start anew with the account, the risk and the rest of what rounds remember."""
        learned = {f"learner.{name}": value for name, value in arrays(self.manager.learner.learned).items()}
        self.restore(type(self)(self.config).state() | learned)

    def close(self) -> Round | None:
        """The statement of the unfinished day, or None where not one row was seen since the last."""
        if self._clock.n[1] == 0:
            return None
        out = self._outputs(0)
        kernels.state_account(out, self._clock, self._account, self._standing, self._terms)
        self._clock.n[1] = 0
        return Round(out, 0, 0, 1)

    @property
    def away(self) -> bool:
        """Whether the price was last seen on another level than the accounts are marked at."""
        return int(self._clock.away[0]) != AT_HOME

    @property
    def fills(self) -> int:
        """Fills of the ensemble's account so far."""
        return int(self._account.fills[0])

    def _outputs(self, n: int) -> Outputs:
        agents, members, accounts = len(self.config.agents), len(MEMBERS), len(self.accounts)
        days = n + 1
        return Outputs(
            weights=np.empty((n, agents)),
            members=np.empty((n, members)),
            member_targets=np.empty((n, members)),
            value=np.empty((4, n)),
            equities=np.empty((n, accounts)),
            verdict=np.empty(n, np.int64),
            state=np.empty(n, np.int64),
            away=np.empty(n, np.int64),
            counts=np.zeros(3, np.int64),
            order_row=np.empty(n, np.int64),
            order=np.empty((n, 2)),
            order_kind=np.empty((n, 2), np.int64),
            fill_row=np.empty(n, np.int64),
            fill_seq=np.empty(n, np.int64),
            fill=np.empty((n, 3)),
            statement_at=np.empty((days, 3), np.int64),
            statement=np.empty((days, 9, accounts)),
        )

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that the rounds remember, by name; nothing that is scratch."""
        return {name: value.copy() for name, value in self._arrays().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, under the same config; raises ValueError where a shape differs."""
        write(self._arrays(), state)

    def _arrays(self) -> dict[str, np.ndarray]:
        """All that is stored, by the names in a book's state."""
        learner = self.manager.learner
        return {
            **arrays(self._clock, "clock."),
            **arrays(learner.learned, "learner."),
            **arrays(learner.memory, "learner."),
            **arrays(self._account, "account."),
            **arrays(self._standing, "standing."),
        }
