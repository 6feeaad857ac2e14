"""Judges what was learned, on simulated markets that nothing is learned from.

All learners are judged on the same markets, so what these have in common cancels in the difference of two learners: on
24 markets of 5,000 ticks the standard error of a mean Sharpe ratio is .6, that of the difference of two trained ones
.05 to .11, and of one that was trained and one that was not .13 to .18.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from windvane.agents.base import Floats
from windvane.infra.training_sessions.agents import Agents
from windvane.infra.training_sessions.checkpoints import Learned
from windvane.infra.training_sessions.episodes import Environment, ensemble, play
from windvane.metamodel.base.arrays import arrays, copied, write
from windvane.metamodel.learning.learned import load
from windvane.metamodel.settings.meta_config import MetaLearningConfig

STEPS = 5_000
"""Fewest ticks of a market that a learner is judged on, 52 days: a Sharpe ratio of fewer is mostly noise."""


class Markets:
    """Markets that learners trade, each from what it had learned before; nothing of a market is kept.

    config, env: as for an episode; seeds: of the markets; steps: ticks of each after the warm-up.
    """

    def __init__(
        self, config: MetaLearningConfig, env: Environment, seeds: Sequence[int], steps: int
    ) -> None:
        self.env, self.seeds, self.steps = env, seeds, steps
        little = MetaLearningConfig(**config.values())  # what is remembered beside the decisions takes time
        little.update({"decision_history_size": 1, "meta_lookback": 8, "detailed_logging": False})
        self._agents = Agents({})
        self._trial = ensemble(little, env, self._agents)

    def sharpe_ratios(self, known: Learned, played: Callable[[], None] = lambda: None) -> Floats:
        """Return the annualised Sharpe ratio that a learner comes to in each of the n markets: (n,).

        known: what it has learned, as a checkpoint holds it; played: called after every market. Raises WeightsError
        where the learner is one of other agents.
        """
        load(self._trial.manager, known.raw)
        self._agents.policies = dict(known.policies)
        learned = self._trial.manager.learner.learned
        before, found = arrays(copied(learned)), np.empty(len(self.seeds))
        for place, seed in enumerate(self.seeds):
            write(arrays(learned), before)
            found[place] = play(self._trial, self.env, seed, self.steps).sharpe()
            played()
        return found


class Difference(NamedTuple):
    """The mean of n paired differences, and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, ours: Floats, theirs: Floats) -> "Difference":
        """The difference of two learners on the same n >= 2 markets, both (n,)."""
        differences = ours - theirs
        return cls(float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences)))

    def interval(self, markets: int) -> tuple[float, float]:
        """Return the ends of the 95 % confidence interval of the mean over so many markets, by Student's t."""
        from scipy.stats import t

        half = float(t.ppf(0.975, markets - 1)) * self.error
        return self.mean - half, self.mean + half


class Judged(NamedTuple):
    """A learner, as a checkpoint holds it, and its Sharpe ratios (n,) on the markets that it was judged on."""

    known: Learned
    sharpe: Floats


class Choice:
    """The best learner of a session so far: the one that it began with, until another is better beyond noise.

    markets: what learners are judged on; start: what the session began with; best: the best so far, judged anew where
    it is another one; played: called after every market.
    """

    def __init__(
        self, markets: Markets, start: Learned, best: Learned, played: Callable[[], None] = lambda: None
    ) -> None:
        self.markets = markets
        self.start = self.best = Judged(start, markets.sharpe_ratios(start, played))
        if best != start:
            self.best = Judged(best, markets.sharpe_ratios(best, played))

    def judge(self, known: Learned, played: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Judge a learner, and keep it where it is better than the best by more than the standard error of that.

        Returns its figures: `gain_over_start` and `gain_over_best` are means of paired differences, and `kept` says
        whether it is the best now.
        """
        found = self.markets.sharpe_ratios(known, played)
        over_start, over_best = (Difference.of(found, one.sharpe) for one in (self.start, self.best))
        kept = over_best.mean > over_best.error
        if kept:
            self.best = Judged(known, found)
        return {**self._figures(found), **_told(over_start, over_best), "kept": kept}

    def first(self) -> dict[str, Any]:
        """Return the figures of the learner that the session began with, as `judge` returns those of others."""
        none = Difference(0.0, 0.0)
        return {**self._figures(self.start.sharpe), **_told(none, none), "kept": True}

    def _figures(self, sharpe: Floats) -> dict[str, Any]:
        return {
            "mean_sharpe_ratio": float(sharpe.mean()),
            "standard_error": float(sharpe.std(ddof=1)) / math.sqrt(len(sharpe)),
            "markets": len(sharpe),
            "steps": self.markets.steps,
        }


def _told(over_start: Difference, over_best: Difference) -> dict[str, float]:
    """The entries of an evaluation for two differences."""
    return {
        "gain_over_start": over_start.mean,
        "gain_over_start_standard_error": over_start.error,
        "gain_over_best": over_best.mean,
        "gain_over_best_standard_error": over_best.error,
    }


def gains(
    markets: Markets, start: Learned, learners: Sequence[Learned], played: Callable[[], None] = lambda: None
) -> list[dict[str, float]]:
    """Return what each learner is worth beside `start`: the mean difference of Sharpe ratios, and its 95 % interval.

    markets: on which nothing was learned and nothing chosen, or the gain of what was chosen is overstated.
    """
    found = {known: markets.sharpe_ratios(known, played) for known in dict.fromkeys((start, *learners))}
    told = []
    for known in learners:
        gain = Difference.of(found[known], found[start])
        low, high = gain.interval(len(found[known]))
        told.append(
            {
                "mean": gain.mean,
                "low": low,
                "high": high,
                "markets": len(found[known]),
                "steps": markets.steps,
            }
        )
    return told
