"""A desk: agents, regime classifier and records around the engine, in one market that a caller plays row by row.

Decisions are those of the pipeline's stages, to the last bit: a desk calls the same kernels in the same order.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from windvane.agents.base import Agent, Floats, Ints
from windvane.agents.confidence import agreements
from windvane.agents.state import action_code
from windvane.agents.wrapper import BaseAgentWrapper
from windvane.agents.wrapping import AgentWrapperFactory
from windvane.metamodel.base.proposals import Joined, propose
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.metamodel.features.extractor import FeatureRows
from windvane.metamodel.learning.counterfactual import Counterfactual, Rows
from windvane.metamodel.learning.members.contextual import HORIZON
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier, shown_labels
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.trader.tracker import Decided, MetaLearningTracker
from windvane.metamodel.trading.columns import Inputs
from windvane.metamodel.trading.ensemble import Ensemble, Round


class Played(NamedTuple):
    """What was decided on n rows; N agents."""

    posterior: Floats  # (n, 7)
    label: Ints  # (n,) index in REGIMES
    target: Floats  # (n, N)
    confidence: Floats  # (n,) how probable it is, by the agents, that what is wanted pays
    action: Ints  # (n,) -1 sell, 0 hold, 1 buy
    qty: Floats  # (n,) ordered, base currency
    round: Round


class _Asked(NamedTuple):
    """What classifier and agents say of n rows, before they are decided."""

    posterior: Floats  # (n, 7)
    label: Ints  # (n,) index in REGIMES
    inputs: Inputs


class TrainingData(NamedTuple):
    """The newest samples, one for every 32 good rows after the warm-up."""

    market_features: deque[Floats]  # (50,) raw, at the first of them
    regimes: deque[Floats]  # (7,) posterior there
    agent_scores: deque[Floats]  # (N,) mean normalised score over them


Listener = Callable[[Decided], None]
"""Who is told of every decision past the warm-up; it is called in order, once a row, and may not block."""


Maker = Callable[[Sequence[str]], list[Agent]]
"""Makes new agents, which have seen no row, of their names, in their order; `create_agents` is one."""


class Desk:
    """What stands around the engine in one market; changed settings are in effect once `follow` was called."""

    def __init__(self, ensemble: Ensemble, settings: MetaLearningConfig, make: Maker) -> None:
        self._ensemble, self.settings = ensemble, settings
        config = ensemble.config
        self.wrappers: dict[str, BaseAgentWrapper] = {
            agent.name: AgentWrapperFactory.create_wrapper(
                agent, agent.name, history=settings.agent_history_features
            )
            for agent in make(settings.agents)
        }
        self.classifier = MarketRegimeClassifier(window=settings.regime_history_window)
        self.tracker = MetaLearningTracker(settings.decision_history_size, config.capital)
        self.data = TrainingData(*(deque(maxlen=settings.meta_lookback) for _ in TrainingData._fields))
        self.listener: Listener | None = None
        self.label: int | None = None
        self.seq = 0
        self._scores = Counterfactual(
            len(config.agents),
            config.costs,
            config.capital,
            config.lot,
            config.weighing,
        )
        self._prices = Joined()
        self._warm = 0  # warm good rows
        self._open: tuple[Floats, Floats] | None = None  # features and posterior of the sample under way

    def follow(self, settings: MetaLearningConfig) -> None:
        """Change how much is remembered to what the settings say.

        The number of training samples changes only with the next market.
        """
        self.settings = settings
        self.classifier.look_back(settings.regime_history_window)
        self.tracker.decisions = deque(self.tracker.decisions, settings.decision_history_size)
        self.data = TrainingData(*(deque(kept, settings.meta_lookback) for kept in self.data))
        for wrapper in self.wrappers.values():
            wrapper.history = deque(wrapper.history, settings.agent_history_features)

    def play(self, rows: FeatureRows) -> Played:
        """Decide n rows in order: those of an extractor, or one row at a time of a caller."""
        asked = self._ask(rows)
        result = self._ensemble.step(asked.inputs)
        out, n = result.outputs, len(rows.ts)
        qty = np.zeros(n)
        qty[out.order["row"][: result.orders]] = out.order["qty"][: result.orders]
        action = np.sign(qty).astype(np.int64)
        confidence = agreements(out.weights, asked.inputs.target, asked.inputs.confidence, out.wanted)
        played = Played(asked.posterior, asked.label, asked.inputs.target, confidence, action, qty, result)
        self._sample(rows, asked)
        traded = slice(
            int(np.count_nonzero(rows.flags & WARMUP)), None
        )  # only the first rows of a market warm up
        self.tracker.follow(rows.ts[traded], out.equity[traded])
        kept = max(0, n - self.settings.decision_history_size)
        self.tracker.remember(n, self._decided(asked.inputs.seq, rows, played, kept))
        if self.listener is not None:
            for decided in self._decided(asked.inputs.seq, rows, played, traded.start):
                self.listener(decided)
        return played

    def rehearse(self, rows: FeatureRows, learn: bool) -> None:
        """Take in n rows of a history, on which nothing is traded and no record of decisions is kept.

        Agents and classifier see them. learn: agents are scored on them, and weights learn, as in a backtest; if not,
        they are rows that warm up.
        """
        asked = self._ask(rows if learn else rows._replace(flags=rows.flags | WARMUP))
        self._ensemble.rehearse(asked.inputs)
        self._sample(rows._replace(flags=asked.inputs.flags), asked)

    def _ask(self, rows: FeatureRows) -> "_Asked":
        """Classify n rows, and ask the agents about them."""
        posterior = self.classifier.step(rows.x, rows.flags)
        label = shown_labels(posterior, self.label, self.classifier.model)
        self.label = int(label[-1])
        agents = tuple(self.wrappers.values())
        proposals = propose(agents, self._prices, rows.flags, rows.x, rows.mid)
        seq = np.arange(self.seq, self.seq + len(rows.ts))
        self.seq += len(rows.ts)
        inputs = Inputs(
            seq=seq,
            ts=rows.ts,
            flags=rows.flags,
            x=rows.x,
            mid=rows.mid,
            target=proposals.target,
            confidence=proposals.confidence,
            bid=rows.bid,
            ask=rows.ask,
            size=rows.size,
            regime=posterior,
        )
        return _Asked(posterior, label, inputs)

    def _decided(self, seq: Ints, rows: FeatureRows, played: Played, start: int) -> Iterator[Decided]:
        """The decisions of rows t >= start."""
        out = played.round.outputs
        for t in range(start, len(seq)):
            yield Decided(
                int(seq[t]),
                int(rows.ts[t]),
                action_code(int(played.action[t])),
                float(out.wanted[t]),
                float(out.target[t]),
                float(out.position[t]),
                float(out.equity[t]),
                float(played.confidence[t]),
                REGIMES[played.label[t]],
                tuple(out.weights[t].tolist()),
            )

    def _sample(self, rows: FeatureRows, asked: "_Asked") -> None:
        """Score every agent on its own proposals, and keep a sample every 32 warm good rows."""
        scored = Rows.of(rows, asked.posterior, asked.inputs.target)
        warm = np.flatnonzero((rows.flags & (REPEATED | WARMUP)) == 0)
        before, self._warm = self._warm, self._warm + len(warm)
        start = 0
        for k in range(before // HORIZON + 1, self._warm // HORIZON + 1):
            stop = int(warm[k * HORIZON - before - 1]) + 1
            self._begin(rows, asked, warm, start)
            self._scores.step(scored, start, stop)
            _, means = self._scores.harvest()
            if self._open is not None:
                self.data.market_features.append(self._open[0])
                self.data.regimes.append(self._open[1])
                self.data.agent_scores.append(means)
            for wrapper, mean in zip(self.wrappers.values(), means.tolist(), strict=True):
                wrapper.update_with_feedback(mean)
            self._open, start = None, stop
        self._begin(rows, asked, warm, start)
        self._scores.step(scored, start, len(rows.ts))

    def _begin(self, rows: FeatureRows, asked: "_Asked", warm: Ints, start: int) -> None:
        """Open a sample at the first warm good row from `start` on, unless one is open."""
        if self._open is None:
            ahead = warm[warm >= start]
            if len(ahead):
                self._open = rows.x[ahead[0]].copy(), asked.posterior[ahead[0]].copy()

    @property
    def complete(self) -> int:
        """How many samples of this market have become complete so far; `samples` returns the newest of them."""
        return self._scores.complete

    def samples(self) -> tuple[Floats, Floats, Floats]:
        """What a predictor is trained on, the newest complete samples of this market: see `Counterfactual.samples`."""
        return self._scores.samples()
