"""Ensemble: the engine of a book, which trades on what its learner believes of the agents, within limits.

It is stepped through rows in order, a round each, and reads no clock, no file and no random number. `rounds` has the
steps of a round.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.bound import Bound
from windvane.agents.confidence import agreed
from windvane.agents.kernel import kernel
from windvane.metamodel.base import account, records
from windvane.metamodel.base.arrays import arrays, write
from windvane.metamodel.base.config import TradingConfig, check
from windvane.metamodel.base.rows import GAP, HEARTBEAT, REPEATED
from windvane.metamodel.learning import learner, netting
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.learning.rules import Rules
from windvane.metamodel.learning.state import Learner
from windvane.metamodel.regimes.model import unclassified
from windvane.metamodel.trading import belief, control, orders, risk, rounds, urgent
from windvane.metamodel.trading.columns import (
    AT_HOME,
    ENSEMBLE,
    Book,
    Clock,
    Counts,
    Day,
    Fill,
    Inputs,
    Order,
    Outputs,
    Resumption,
    Settings,
    Statement,
    Wishes,
)

_COUNTS, _ORDER, _FILL, _DAY, _STATEMENT = map(records.dtype, (Counts, Order, Fill, Day, Statement))

_FIXED: dict[str, Callable[[TradingConfig], Any]] = {
    "agents": lambda c: c.agents,
    "kinds": lambda c: c.known_as,
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
    """What n rounds wrote, how many of their rows were good, and how many orders, fills and statements there are."""

    outputs: Outputs
    good: int
    orders: int
    fills: int
    statements: int


class Present(NamedTuple):
    """The book's own account after the last row, as people look at it."""

    ts: int  # event time of that row, UNIX ns, 0 before the first
    state: int  # risk.ACTIVE, REDUCE_ONLY or HALTED
    flattening: bool  # a position that was ordered closed is still open
    position: float  # units of capital, at the last mid
    equity: float  # currency
    day: float  # currency, earned since the UTC day began


def _resumption(config: TradingConfig) -> Resumption:
    """When `on_halt` lets trading resume. A timed book is live: a level that nobody vouches for waits for a person."""
    after = {"stop": -1, "next-day": 0, "resume-after": config.resume_after}[config.on_halt]
    return Resumption(after, -1 if config.closing == "timed" else after)


def manager_of(config: TradingConfig) -> MetaLearningEnsembleManager:
    """Who weighs the agents of a book, and has learned nothing yet."""
    return MetaLearningEnsembleManager(
        config.agents, config.weighing, delay=config.costs.delay, kinds=config.known_as
    )


class Ensemble:
    """The whole of a round: account, scores, learning, weights, risk, order; and the baselines beside it."""

    def __init__(self, config: TradingConfig) -> None:
        self.config = config
        self.manager = manager_of(config)
        self.accounts = ("ensemble", "equal_weights", "buy_and_hold", *(f"agent:{a}" for a in config.agents))
        self._round_settings = self._new_settings()
        terms, accounts = self._round_settings.terms, len(self.accounts)
        fresh, pending = account.new_accounts(accounts, terms)
        self._book = Book(
            clock=records.new(Clock, 1),
            account=fresh,
            standing=records.new(risk.Standing, accounts),
            aims=np.zeros((config.costs.delay + 3, accounts)),
            pending=pending,
            pending_seq=np.zeros(config.costs.delay + 1, np.int64),
            sent=risk.new_sent(accounts, config.limits),
        )
        self._all_awake = np.ones(len(config.agents), np.int64)
        self._run = Bound(_run)

    def _new_settings(self) -> Settings:
        config = self.config
        return Settings(
            account.new_terms(config.costs, config.capital, config.lot),
            risk.new_limits(config.limits, config.capital, config.lot, config.min_order),
            _resumption(config),
        )

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
        self.config, self.manager.rules, self._round_settings = (
            config,
            fresh.manager.rules,
            fresh._round_settings,
        )

    def step(self, rows: Inputs) -> Round:
        """Run n rounds: trade, learn and remember. The arrays of `rows` are only read."""
        n = len(rows.seq)
        whole = rows._replace(
            regime=rows.regime if rows.regime.size else unclassified(n),
            control=rows.control if rows.control.size else np.zeros(n, np.int64),
            awake=rows.awake if rows.awake.size else self._all_awake,
        )
        out = self._outputs(n)
        self._run((self.manager.learner, self.manager.rules, self._book, self._round_settings), whole, out)
        return Round(out, *out.counts[0].item())

    def rehearse(self, rows: Inputs) -> None:
        """Run n rounds of a history in which nothing is at stake: all is learned that rounds learn, nothing is traded.

        Every account is halted meanwhile, as by a person. Afterwards it stands as if it had just been opened: in cash,
        with no halt behind it and no row of its day.
        """
        halt = np.zeros(len(rows.seq), np.int64)
        halt[0] = control.HALT
        self.step(rows._replace(control=halt))
        clock, standing = self._book.clock, self._book.standing
        for one in standing:
            control.resume(one, 0.0)
        standing["halts"] = 0
        clock["day_rows"] = clock["warm_rows"] = 0

    def new_market(self) -> None:
        """Keep what was learned, and start anew with the account, the risk and the rest of what rounds remember."""
        learned = {f"learner.{name}": value for name, value in arrays(self.manager.learner.learned).items()}
        self.restore(type(self)(self.config).state() | learned)

    def close(self) -> Round | None:
        """The statement of the unfinished day, or None where not one row was seen since the last."""
        if self._book.clock["day_rows"][0] == 0:
            return None
        out = self._outputs(0)
        book, terms = self._book, self._round_settings.terms
        rounds.write_statement(book, terms, out)
        self._book.clock["day_rows"] = 0
        return Round(out, good=0, orders=0, fills=0, statements=1)

    @property
    def away(self) -> bool:
        """Whether the price was last seen on another level than the accounts are marked at."""
        return int(self._book.clock["level"][0]) != AT_HOME

    @property
    def present(self) -> Present:
        """The book's own account after the last row."""
        book, terms = self._book, self._round_settings.terms
        clock, own, standing = book.clock[0], book.account[0], book.standing[0]
        equity = float(own["equity"])
        return Present(
            ts=int(clock["ts"]),
            state=int(standing["state"]),
            flattening=bool(standing["flattening"]),
            position=int(own["lots"]) * terms.lot * float(clock["mid"]) / terms.capital,
            equity=equity,
            day=equity - terms.capital - float(standing["day_start"]),
        )

    @property
    def fills(self) -> int:
        """Fills of the ensemble's account so far."""
        return int(self._book.account["fills"][0])

    def _outputs(self, n: int) -> Outputs:
        """Room for what n rounds write."""
        agents, members, accounts = len(self.config.agents), len(MEMBERS), len(self.accounts)
        return Outputs(
            weights=np.empty((n, agents)),
            members=np.empty((n, members)),
            member_targets=np.empty((n, members)),
            equities=np.empty((n, accounts)),
            wanted=np.empty(n),
            target=np.empty(n),
            position=np.empty(n),
            equity=np.empty(n),
            verdict=np.empty(n, np.int64),
            state=np.empty(n, np.int64),
            strayed=np.empty(n, np.int64),
            counts=np.zeros(1, _COUNTS),
            order=np.zeros(n, _ORDER),
            fill=np.zeros(n + 1, _FILL),
            day=np.zeros(n + 1, _DAY),
            statement=np.zeros((n + 1, accounts), _STATEMENT),
        )

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that the rounds remember, by name; nothing that is scratch."""
        return {name: value.copy() for name, value in self._arrays().items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, under the same config; raises ValueError where a shape differs."""
        write(self._arrays(), state)

    def _arrays(self) -> dict[str, np.ndarray]:
        """All that is stored, by the names in a book's state; what of the learner is scratch is not stored."""
        learner = self.manager.learner
        return {
            **arrays(self._book),
            **arrays(learner.learned, "learner."),
            **arrays(learner.memory, "learner."),
        }


@kernel
def _run(m: Learner, rules: Rules, book: Book, settings: Settings, inputs: Inputs, out: Outputs) -> None:
    """Run the round of each row: change the learner and the book, write the outputs. The order never changes:

    - controls: the end of a day, and a person's control;
    - settle: fills that are due, and all accounts marked to the mid;
    - learn and weigh: every agent and member scored on what just happened, and weighed;
    - aim and decide: netting, risk, orders; at a heartbeat nothing but a person's flatten;
    - emit: what the row leaves.
    """
    clock, terms = book.clock[0], settings.terms
    awake = 0
    for i in range(inputs.awake.shape[0]):
        awake += inputs.awake[i]
    for t in range(inputs.ts.shape[0]):
        row = rounds.row_of(inputs, t, clock.good_rows, awake)
        at_home = clock.level == AT_HOME
        rounds.controls(book, settings, inputs.control[t], row, out)
        out.verdict[t] = 0
        out.counts[0].good += 1 if row.flag & REPEATED == 0 else 0
        answer = rounds.believed(book.standing, clock, m.memory.market, settings.resumption.level, row)
        if answer != belief.NOT_BELIEVED:
            move = math.log(row.mid / clock.mid) if row.good > 0 else 0.0
            priced = abs(move) <= settings.limits.collar
            rounds.settle(book, settings, row, priced, answer == belief.CONFIRMED, out)
            cost = account.cost_per_unit(terms, row.mid, row.bid, row.ask)
            learner.learn(m, rules, row.mid, cost, row.warm, inputs.awake)
            learner.weigh(m, rules, inputs.x[t], inputs.regime[t], inputs.target[t], row.warm, inputs.awake)
            rounds.count(clock, row)
            if awake > 0:
                clock.wanted = netting.aim(m.learned.weights, inputs.target[t], rules.band, clock.wanted)
            else:  # with nobody to follow the ensemble wants what it has
                clock.wanted = orders.exposure_of(book.account[ENSEMBLE], terms, row.mid)
            if row.warm:
                trust = agreed(m.learned.weights, inputs.target[t], inputs.confidence[t], clock.wanted)
                wishes = Wishes(clock.wanted, trust, inputs.target[t], inputs.confidence[t], inputs.awake)
                view = rounds.view_of(clock, settings, row, m.memory.market.value[1], priced)
                earned = move if answer == belief.BELIEVED else 0.0  # no return lies between two levels
                rounds.decide(book, settings, wishes, row, view, earned, out)
        elif row.flag & REPEATED == 0:
            clock.streak = 0
            out.verdict[t] = 0 | risk.Gate.COLLAR
        elif row.flag & GAP:
            clock.streak = 0
        elif row.flag & REPEATED == HEARTBEAT:
            urgent.flatten(book, settings, row, out)
        rounds.emit(m, book, terms, t, out)
        out.strayed[t] = 1 if at_home and clock.level != AT_HOME else 0
