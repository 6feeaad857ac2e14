"""MetaLearningEnsembleManager weighs the agents: it learns, row by row, whom to believe how much."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.learning.learner import Rows, run
from windvane.metamodel.learning.members import MEMBERS, predictor
from windvane.metamodel.learning.rules import new_rules
from windvane.metamodel.learning.state import new_learner
from windvane.metamodel.regimes.model import unclassified


class MetaLearningEnsembleManager:
    """Weighs agents, and learns from every row how to.

    Several ways to weigh them, the members, are mixed by Fixed-Share. agents: their names; config: the settings;
    delay: execution delay in good rows, so that agents are scored on prices that they could really have had; kinds: of
    the agents, by which members know those that they were fitted on; none: their names.
    """

    def __init__(
        self,
        agents: Sequence[str],
        config: WeighingConfig | None = None,
        *,
        delay: int = 1,
        scaler: FeatureScaler | None = None,
        kinds: Sequence[str] = (),
    ) -> None:
        self.agents = tuple(agents)
        self.members = MEMBERS
        self.rules = new_rules(
            config or WeighingConfig(), delay, scaler or FeatureScaler(), kinds or self.agents
        )
        self.learner = new_learner(self.agents, self.rules)

    def step(
        self,
        x: Floats,
        mid: Floats,
        target: Floats,
        cost: Floats,
        warm: Ints,
        regime: Floats | None = None,
    ) -> Floats:
        """Learn from each of n good rows, then weigh the agents for it; returns the weights (n, N) after each.

        x: (n, 50) features; mid: (n,); target: (n, N) positions; cost: (n,) of one unit traded, a share of price;
        warm: (n,) 0 in rows that only warm up; regime: (n, 7) posterior, None where no classifier runs.
        """
        weights = np.empty_like(target)
        p = unclassified(len(mid)) if regime is None else regime
        run(self.learner, self.rules, Rows(x, p, mid, target, cost, warm), weights)
        return weights

    def swap_predictor(self, raw: bytes) -> None:
        """Use these safetensors weights in the predictor from the next row on.

        They are verified first: shapes, finite values, finite outputs. Raises WeightsError where they do not pass,
        and keeps the old ones.
        """
        predictor.swap(self.learner.learned.predictor, self.check_predictor(raw))

    def check_predictor(self, raw: bytes) -> predictor.Layers:
        """The networks that `swap_predictor` would use of these bytes; raises WeightsError where it would."""
        if not self.rules.retraining:
            raise WeightsError("the predictor is not a member of this ensemble: switch retraining on")
        return predictor.load(raw, self.rules.features, len(self.agents))

    def roll_back(self) -> bool:
        """Predict with the weights from before the last swap; returns whether there were any."""
        return predictor.roll_back(self.learner.learned.predictor)

    @property
    def weights(self) -> dict[str, float]:
        """The present weight of every agent, by name."""
        return dict(zip(self.agents, self.learner.learned.weights.tolist(), strict=True))

    @property
    def member_weights(self) -> dict[str, float]:
        """The present weight of every member of the mixture, by name."""
        return dict(zip(self.members, self.learner.learned.share.tolist(), strict=True))

    @property
    def cash(self) -> float:
        """The present weight of cash, which is not invested; 0 where cash takes no part."""
        return float(self.learner.memory.cash[0])

    @property
    def mean_scores(self) -> dict[str, float]:
        """Mean normalised score of every agent and member since the end of the warm-up."""
        rows = max(int(self.learner.memory.market.seen[1]), 1)
        return dict(
            zip((*self.agents, *self.members), (self.learner.memory.totals / rows).tolist(), strict=True)
        )

    def explained(self) -> dict[str, Any]:
        """What every member thinks: weights of members and cash, each member's weights of agents, and mean scores."""
        w = self.learner.learned.w
        return {
            "member_weights": self.member_weights,
            "cash": self.cash,
            "member_agent_weights": {
                member: dict(zip(self.agents, w[j].tolist(), strict=True))
                for j, member in enumerate(self.members)
            },
            "mean_scores": self.mean_scores,
        }
