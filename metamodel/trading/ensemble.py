"""MetaLearningEnsembleManager weighs the agents; MetaLearningRiskManagedEnsemble also trades, within limits.

Both are stepped through rows in order; neither reads a clock, a file or a random number.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base import account, records
from windvane.metamodel.base.config import TradingConfig, WeighingConfig, check
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning import learner
from windvane.metamodel.learning.learned import SCRATCH
from windvane.metamodel.learning.members import MEMBERS, predictor
from windvane.metamodel.regimes.classifier import shipped
from windvane.metamodel.trader.trader import Trading
from windvane.metamodel.trading import risk
from windvane.metamodel.trading import rounds as kernels
from windvane.metamodel.trading.columns import (
    AT_HOME,
    Book,
    Clock,
    Inputs,
    Outputs,
    Resumption,
    Settings,
    new_outputs,
)

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
T = TypeVar("T")


def flatten(name: str, part: Any, into: dict[str, np.ndarray]) -> None:
    """Copy every array of nested named tuples, and every field of an array of records, under dotted names."""
    for path, value in _arrays(name, part):
        into[path] = value.copy()


def restore(name: str, part: Any, state: dict[str, np.ndarray]) -> None:
    """Write what `flatten` copied back into the arrays but for scratch; raises ValueError where a shape differs."""
    for path, value in _arrays(name, part):
        if is_scratch(path):
            continue
        saved = state[path]
        if saved.shape != value.shape:
            raise ValueError(f"state {path} has shape {saved.shape}, expected {value.shape}")
        value[...] = saved


def _arrays(name: str, part: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Every array of nested named tuples, and every field of an array of records as a view, with its dotted name."""
    if not isinstance(part, np.ndarray):
        for field, value in part._asdict().items():
            yield from _arrays(f"{name}.{field}", value)
    elif part.dtype.names is not None:
        yield from ((f"{name}.{field}", part[field]) for field in part.dtype.names)
    else:
        yield name, part


def is_scratch(name: str) -> bool:
    """Whether every row writes an array of the state, by its dotted name, before reading it: it is not stored."""
    return name.removeprefix("learner.") in SCRATCH


def untold(rows: int) -> Floats:
    """(n, 7) posteriors where no classifier tells: how often regimes were what in its training."""
    return np.tile(shipped().prior, (rows, 1))


class MetaLearningEnsembleManager:
    """Weights over agents, learned while they act.

    A mixture of ways to weigh, the members, joined by Fixed-Share. `delay` is the execution delay in good rows, so
    that agents are scored on what could really be had.
    """

    def __init__(
        self,
        agents: Sequence[str],
        config: WeighingConfig | None = None,
        *,
        delay: int = 1,
        scaler: FeatureScaler | None = None,
    ) -> None:
        self.agents = tuple(agents)
        self.members = MEMBERS
        self.rules = learner.new_rules(
            config or WeighingConfig(), delay, scaler or FeatureScaler(), self.agents
        )
        self.learner = learner.new_learner(self.agents, self.rules)

    def step(
        self,
        x: Floats,
        mid: Floats,
        target: Floats,
        cost: Floats,
        warm: Ints,
        regime: Floats | None = None,
    ) -> Floats:
        """Weights (n, N) after each of n good rows: learns from row t, then weighs for it.

        x: (n, 50) features; mid: (n,); target: (n, N) positions; cost: (n,) of one unit traded, a share of price;
        warm: (n,) 0 in rows that only warm up; regime: (n, 7) posterior, None where nobody tells it.
        """
        weights = np.empty_like(target)
        p = untold(len(mid)) if regime is None else regime
        learner.run(self.learner, self.rules, x, p, mid, target, cost, warm, weights)
        return weights

    def swap_predictor(self, raw: bytes) -> None:
        """Predict with these safetensors weights from the next row on; raises WeightsError and keeps the old ones.

        They are verified first: shapes, finite, finite outputs on canary states.
        """
        predictor.swap(self.learner.predictor, self.check_predictor(raw))

    def check_predictor(self, raw: bytes) -> predictor.Layers:
        """What `swap_predictor` would use; raises WeightsError where it would."""
        if not self.rules.retraining:
            raise WeightsError("the predictor is not a member of this ensemble: switch retraining on")
        return predictor.load(raw, self.rules.features, len(self.agents))

    def roll_back(self) -> bool:
        """Predict with the weights from before the last swap; gives whether there were any."""
        return predictor.roll_back(self.learner.predictor)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every agent now."""
        return dict(zip(self.agents, self.learner.weights.tolist(), strict=True))

    @property
    def member_weights(self) -> dict[str, float]:
        """Fixed-Share weight of every member now."""
        return dict(zip(self.members, self.learner.share.tolist(), strict=True))

    @property
    def cash(self) -> float:
        """What is not invested: weight of cash now, 0 where it takes no part."""
        return float(self.learner.cash[0])

    @property
    def mean_scores(self) -> dict[str, float]:
        """Mean normalised score of every agent and member since the first warm row."""
        rows = max(int(self.learner.market.seen[1]), 1)
        return dict(zip((*self.agents, *self.members), (self.learner.totals / rows).tolist(), strict=True))


class Round(NamedTuple):
    """What n rounds wrote, and how many orders, fills and statements are among it."""

    outputs: Outputs
    orders: int
    fills: int
    statements: int


def _resumption(config: TradingConfig) -> Resumption:
    """When `on_halt` lets trading resume. A timed book is live: a level that nobody vouches for waits for a person."""
    after = {"stop": -1, "next-day": 0, "resume-after": config.resume_after}[config.on_halt]
    return Resumption(after, -1 if config.closing == "timed" else after)


class MetaLearningRiskManagedEnsemble(Trading):
    """The whole of a round: account, scores, learning, weights, risk, order; and the baselines beside it."""

    def __init__(self, config: TradingConfig) -> None:
        self.config = config
        self.manager = MetaLearningEnsembleManager(config.agents, config.weighing, delay=config.costs.delay)
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
        """Run n rounds, of columns as `Inputs` has them; None for what the source does not have.

        regime: (n, 7) posterior of the regimes, None where no classifier runs; control: (n,) codes of
        `windvane.metamodel.trading.control`; awake: (N,) 0 for agents that sleep in all these rows, None: none does.
        """
        optional: dict[str, Any] = {
            "size": size,
            "regime": regime,
            "control": control,
            "awake": awake,
        }
        if bid is not None and ask is not None:
            optional |= {"bid": bid, "ask": ask}
        columns = {name: column for name, column in optional.items() if column is not None}
        return self.run(Inputs(seq, ts, flags, x, mid, target, confidence)._replace(**columns))

    def run(self, rows: Inputs) -> Round:
        """Run n rounds: trade, learn and remember. The arrays of `rows` are only read."""
        n = len(rows.seq)
        whole = rows._replace(
            regime=rows.regime if rows.regime.size else untold(n),
            control=rows.control if rows.control.size else np.zeros(n, np.int64),
            awake=rows.awake if rows.awake.size else self._all_awake,
        )
        out = self._outputs(n)
        m, rules = self.manager.learner, self.manager.rules
        kernels.rounds(m, rules, self._book, self._round_settings, whole, out)
        counts = out.counts[0]
        return Round(out, int(counts["orders"]), int(counts["fills"]), int(counts["statements"]))

    def close(self) -> Round | None:
        """The statement of the unfinished day, or None where not one row was seen since the last."""
        if self._book.clock["day_rows"][0] == 0:
            return None
        out = self._outputs(0)
        book, terms = self._book, self._round_settings.terms
        kernels.write_statement(book, terms, out)
        self._book.clock["day_rows"] = 0
        return Round(out, 0, 0, 1)

    @property
    def away(self) -> bool:
        """Whether the price was last seen on another level than the accounts are marked at."""
        return int(self._book.clock["level"][0]) != AT_HOME

    @property
    def fills(self) -> int:
        """Fills of the ensemble's account so far."""
        return int(self._book.account["fills"][0])

    def _outputs(self, n: int) -> Outputs:
        return new_outputs(n, len(self.config.agents), len(MEMBERS), len(self.accounts))

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that the rounds remember, by name; nothing that is scratch."""
        state: dict[str, np.ndarray] = {}
        for name, part in self._parts():
            flatten(name, part, state)
        return {name: value for name, value in state.items() if not is_scratch(name)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, under the same config; raises ValueError where a shape differs."""
        for name, part in self._parts():
            restore(name, part, state)

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """What the rounds remember, by the names under which it is stored."""
        yield from (("learner", self.manager.learner), *self._book._asdict().items())
