"""A desk: agents, regime classifier and records around the rounds of one ensemble, for who calls it row by row.

The same extractor rows give the same decisions as the pipeline's stages: it is the same kernels in the same order.
"""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.factory import create_agents
from windvane.agents.wrapper import AgentWrapperFactory, BaseAgentWrapper
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import REPEATED, WARMUP, Joined
from windvane.metamodel.features.extractor import FeatureRows
from windvane.metamodel.learning.counterfactual import Counterfactual
from windvane.metamodel.learning.members.contextual import HORIZON
from windvane.metamodel.regimes.classifier import MarketRegimeClassifier, shown_labels
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.trader.tracker import Decided, MetaLearningTracker

if TYPE_CHECKING:
    from windvane.metamodel.trading.ensemble import MetaLearningRiskManagedEnsemble, Round


class Played(NamedTuple):
    """What n rows came to; N agents."""

    posterior: Floats  # (n, 7)
    label: Ints  # (n,) index in REGIMES
    target: Floats  # (n, N)
    confidence: Floats  # (n,) of the agents, by their weights
    action: Ints  # (n,) 0 sell, 1 hold, 2 buy
    qty: Floats  # (n,) ordered, base currency
    round: "Round"


class TrainingData(NamedTuple):
    """Newest samples, one every 32 good rows past the warm-up."""

    market_features: deque[Floats]  # (50,) raw, at the first of them
    regimes: deque[Floats]  # (7,) posterior there
    agent_scores: deque[Floats]  # (N,) mean normalised score over them


class Desk:
    """One market; what `settings` says is told as it stands, and remembered once `follow` was called."""

    def __init__(self, ensemble: "MetaLearningRiskManagedEnsemble", settings: MetaLearningConfig) -> None:
        self._ensemble, self.settings = ensemble, settings
        config = ensemble.config
        self.wrappers: dict[str, BaseAgentWrapper] = {
            agent.name: AgentWrapperFactory.create_wrapper(
                agent, agent.name, history=settings.agent_history_features
            )
            for agent in create_agents(config.agents)
        }
        self.classifier = MarketRegimeClassifier(window=settings.regime_history_window)
        self.tracker = MetaLearningTracker(settings.decision_history_size, config.capital)
        self.data = TrainingData(*(deque(maxlen=settings.meta_lookback) for _ in TrainingData._fields))
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
        """Remember as much as these settings say; a market's samples for training stay as many as it began with."""
        self.settings = settings
        self.classifier.look_back(settings.regime_history_window)
        self.tracker.decisions = deque(self.tracker.decisions, settings.decision_history_size)
        self.data = TrainingData(*(deque(kept, settings.meta_lookback) for kept in self.data))
        for wrapper in self.wrappers.values():
            wrapper.history = deque(wrapper.history, settings.agent_history_features)

    def play(self, rows: FeatureRows) -> Played:
        """n rows; what the extractor gave, or one row made by hand."""
        n, ensemble = len(rows.ts), self._ensemble
        posterior = self.classifier.step(rows.x, rows.flags)
        label = shown_labels(posterior, self.label, self.classifier.model)
        self.label = int(label[-1])
        good = ((rows.flags & REPEATED) == 0).astype(np.int64)
        target, sure = np.empty((n, len(self.wrappers))), np.empty((n, len(self.wrappers)))
        price = self._prices.step(rows.flags, rows.mid)
        for i, wrapper in enumerate(self.wrappers.values()):
            target[:, i], _, sure[:, i] = wrapper.propose(rows.x, price, good)
        cold = (rows.flags & WARMUP) != 0
        target[cold], sure[cold] = 0.0, 0.0
        quoted, sized = rows.bid.size > 0, rows.size.size > 0
        seq = np.arange(self.seq, self.seq + n)
        self.seq += n
        done = ensemble.step(
            seq,
            rows.ts,
            rows.flags,
            rows.x,
            rows.mid,
            target,
            sure,
            bid=rows.bid if quoted else None,
            ask=rows.ask if quoted else None,
            size=rows.size if sized else None,
            regime=posterior,
        )
        out = done.outputs
        qty = np.zeros(n)
        qty[out.order["row"][: done.orders]] = out.order["qty"][: done.orders]
        action = np.sign(qty).astype(np.int64) + 1
        played = Played(posterior, label, target, (out.weights * sure).sum(axis=1), action, qty, done)
        self._sample(rows, played, quoted)
        self.tracker.follow(rows.ts, out.equity)
        self.tracker.remember(self._decided(seq, rows, played))
        return played

    def _decided(self, seq: Ints, rows: FeatureRows, played: Played) -> Iterator[Decided]:
        out = played.round.outputs
        for t in range(max(0, len(seq) - self.settings.decision_history_size), len(seq)):
            yield Decided(
                int(seq[t]),
                int(rows.ts[t]),
                int(played.action[t]),
                float(out.wanted[t]),
                float(out.target[t]),
                float(out.position[t]),
                float(out.equity[t]),
                float(played.confidence[t]),
                REGIMES[played.label[t]],
                tuple(out.weights[t].tolist()),
            )

    def _sample(self, rows: FeatureRows, played: Played, quoted: bool) -> None:
        """Score every agent on its own proposals, and keep a sample every 32 warm good rows."""
        warm = np.flatnonzero((rows.flags & (REPEATED | WARMUP)) == 0)
        before, self._warm = self._warm, self._warm + len(warm)
        start = 0
        for k in range(before // HORIZON + 1, self._warm // HORIZON + 1):
            last = int(warm[k * HORIZON - before - 1])
            self._begin(rows, played, warm, start)
            self._score(rows, played, quoted, start, last + 1)
            _, means = self._scores.harvest()
            if self._open is not None:
                self.data.market_features.append(self._open[0])
                self.data.regimes.append(self._open[1])
                self.data.agent_scores.append(means)
            for wrapper, mean in zip(self.wrappers.values(), means.tolist(), strict=True):
                wrapper.update_with_feedback(mean)
            self._open, start = None, last + 1
        self._begin(rows, played, warm, start)
        self._score(rows, played, quoted, start, len(rows.ts))

    def _score(self, rows: FeatureRows, played: Played, quoted: bool, start: int, stop: int) -> None:
        bid, ask = (rows.bid, rows.ask) if quoted else (None, None)
        self._scores.step(
            rows.flags, rows.x, played.posterior, rows.mid, bid, ask, played.target, start, stop
        )

    def samples(self) -> tuple[Floats, Floats, Floats]:
        """What a predictor is trained on: newest complete samples of this market, as `samples.newest` gives them."""
        return self._scores.samples()

    def _begin(self, rows: FeatureRows, played: Played, warm: Ints, start: int) -> None:
        if self._open is None:
            ahead = warm[warm >= start]
            if len(ahead):
                self._open = rows.x[ahead[0]].copy(), played.posterior[ahead[0]].copy()
