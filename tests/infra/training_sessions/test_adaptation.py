"""Adaptability: known answers on made markets, a slow reference, and evaluations where nothing adapts or can."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.infra.training_sessions import evaluation
from windvane.infra.training_sessions.adaptation import STEP, WINDOW, adaptation
from windvane.infra.training_sessions.episodes import ensemble, environment, play
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.page import page
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.seeds import EPISODES

AGENTS = 4
GOOD = np.array([0, 1, 2, 0, 1, 2, 3])
"""The agent that each regime favours."""


class Markets:
    """E made markets whose regimes last 700 rows, in each of which one agent earns and the others do not."""

    def __init__(self, episodes: int = 8, noise: float = 0.0, edge: float = 1.0) -> None:
        rng = np.random.default_rng(5)
        self.true = [np.repeat(rng.permutation(7), 700) for _ in range(episodes)]
        self.earned = [
            edge * np.eye(AGENTS)[GOOD[t]] + noise * rng.normal(size=(len(t), AGENTS)) for t in self.true
        ]

    def late(self, rows: int, most: float = 1.0) -> list[np.ndarray]:
        """Weights that have `most` on the good agent, and evenly the rest, so many rows after a switch."""
        out = []
        for t in self.true:
            seen = np.concatenate([np.repeat(t[:1], rows), t[: len(t) - rows]])
            w = np.full((len(t), AGENTS), (1 - most) / (AGENTS - 1))
            w[np.arange(len(t)), GOOD[seen]] = most
            out.append(w)
        return out

    def told(self, weights: list[np.ndarray]) -> dict[str, Any]:
        return adaptation(self.true, weights, self.earned)[0]


def test_an_oracle_that_moves_at_once_has_1_and_weights_that_stay_have_0() -> None:
    markets = Markets()
    told = markets.told(markets.late(0))
    assert told["regime_adaptability"] == pytest.approx(1.0)
    assert told["regime_adaptability_standard_error"] == pytest.approx(0.0, abs=1e-9)
    assert (told["adaptation_rows"], told["regime_switches"]) == (0, 8 * 6)
    for held in (
        [np.full((len(t), AGENTS), 1 / AGENTS) for t in markets.true],
        [np.tile(np.eye(AGENTS)[e % AGENTS], (len(t), 1)) for e, t in enumerate(markets.true)],
    ):
        told = markets.told(held)
        assert (told["regime_adaptability"], told["regime_adaptability_standard_error"]) == (0.0, 0.0)
        assert told["adaptation_rows"] is None


@pytest.mark.parametrize("rows", [STEP, 5 * STEP, 20 * STEP])
def test_who_moves_after_some_rows_has_what_is_left_of_the_window(rows: int) -> None:
    markets = Markets()
    told = markets.told(markets.late(rows))
    assert told["regime_adaptability"] == pytest.approx(1 - rows / WINDOW)
    assert told["adaptation_rows"] == rows


def test_who_moves_after_the_window_has_0() -> None:
    markets = Markets()
    assert markets.told(markets.late(WINDOW))["regime_adaptability"] == pytest.approx(0.0)


def test_a_limit_on_weights_keeps_it_below_1_and_moving_away_makes_it_negative() -> None:
    markets = Markets()
    assert 0.5 < markets.told(markets.late(0, 0.6))["regime_adaptability"] < 0.8
    worst = []
    for t, w in zip(markets.true, markets.late(0), strict=True):
        even = np.full_like(w, 1 / AGENTS)
        start = np.flatnonzero(np.append(True, t[1:] != t[:-1]))
        after = np.arange(len(t)) - np.repeat(start, 700) > 0
        worst.append(np.where(after[:, None], (1 - w) / (AGENTS - 1), even))
    assert markets.told(worst)["regime_adaptability"] < -0.1


def test_learning_that_is_alike_in_all_regimes_is_no_adapting() -> None:
    markets = Markets()
    for earned in markets.earned:
        earned[:] = [0.0, 0.0, 1.0, 0.0]  # one agent is the best in every regime
        earned += np.random.default_rng(1).normal(size=earned.shape)
    ramp = [
        np.linspace([0.25] * 4, [0.0, 0.0, 1.0, 0.0], len(t)) for t in markets.true
    ]  # and is believed more and more
    told = markets.told(ramp)
    assert abs(told["regime_adaptability"]) < 2.5 * told["regime_adaptability_standard_error"]
    assert abs(told["regime_adaptability"]) < 0.1


def test_noise_does_not_pass_for_adapting_and_its_error_is_told() -> None:
    clean, noisy, nothing = Markets(40), Markets(40, noise=10.0), Markets(40, noise=10.0, edge=0.0)
    right = clean.told(clean.late(160, 0.7))["regime_adaptability"]
    told = noisy.told(noisy.late(160, 0.7))
    assert abs(told["regime_adaptability"] - right) < 2.5 * told["regime_adaptability_standard_error"] < 0.3
    assert abs(told["adaptation_rows"] - 160) <= STEP
    told = nothing.told(nothing.late(160))
    assert abs(told["regime_adaptability"]) < 2.5 * told["regime_adaptability_standard_error"]
    assert told["adaptation_rows"] is None


def test_who_follows_the_noise_of_the_own_episode_gains_nothing() -> None:
    """The edges of other episodes judge, so what only this episode's prices say is worth nothing."""
    markets = Markets(30, noise=10.0, edge=0.0)
    greedy = []
    for t, earned in zip(markets.true, markets.earned, strict=True):
        best = np.array([earned[t == k].mean(axis=0).argmax() for k in range(7)])
        greedy.append(np.eye(AGENTS)[best[t]])
    told = markets.told(greedy)
    assert abs(told["regime_adaptability"]) < 2.5 * told["regime_adaptability_standard_error"]


def test_the_sums_are_those_of_a_loop_over_switches() -> None:
    rng = np.random.default_rng(3)
    true = [np.repeat(rng.integers(-1, 7, 12), rng.integers(1, 900, 12)) for _ in range(5)]
    weights = [rng.dirichlet(np.ones(AGENTS), len(t)) for t in true]
    earned = [rng.normal(size=(len(t), AGENTS)) for t in true]
    back = lost = 0.0
    for e, (t, w) in enumerate(zip(true, weights, strict=True)):
        others = [k for k in range(5) if k != e]
        regimes, gains = (np.concatenate([parts[k] for k in others]) for parts in (true, earned))
        regimes, gains = regimes[regimes >= 0], gains[regimes >= 0]
        edges = {k: gains[regimes == k].mean(axis=0) - gains.mean(axis=0) for k in set(regimes.tolist())}
        switch = None
        for row in range(1, len(t)):
            if t[row] != t[row - 1]:
                switch = row if t[row] >= 0 and t[row - 1] >= 0 else None
            if switch is None or row - switch >= WINDOW or t[row] not in edges:
                continue
            edge = edges[t[row]]
            back += ((w[row] - w[switch - 1]) * edge).sum()
            lost += edge.max() - (w[switch - 1] * edge).sum()
    assert adaptation(true, weights, earned)[0]["regime_adaptability"] == pytest.approx(back / lost)


def test_what_cannot_be_told_is_no_number() -> None:
    markets = Markets(2)
    calm = [np.full(100, 3), np.full(100, 4)]  # no switch
    apart = [np.repeat([0, 1], 50), np.repeat([2, 3], 50)]  # to regimes that no other episode has
    unknown = [np.full(100, -1), np.full(100, -1)]
    for true in (calm, apart, unknown, calm[:1]):
        weights, earned = (
            [part[:100] for part in parts[: len(true)]] for parts in (markets.late(0), markets.earned)
        )
        told, curve = adaptation(true, weights, earned)
        assert math.isnan(told["regime_adaptability"])
        assert told["regime_adaptability_standard_error"] is None
        assert told["adaptation_rows"] is None
        assert set(curve["share"]) == {None}
    two = markets.told(markets.late(0))
    assert two["regime_adaptability"] == pytest.approx(1.0)
    assert two["regime_adaptability_standard_error"] is None


def played(market: str, episodes: int, **custom: Any) -> dict[str, Any]:
    """The figures of an ensemble that begins each market with what is shipped."""
    config = made("balanced", {"market": market}, {"performance_prediction_enabled": False, **custom})
    env, results = environment(config), []
    for seed in EPISODES[:episodes]:
        results.append(play(ensemble(config, env), env, seed, 1000))
    return evaluation.adapting(results)[0]


def test_weights_that_learn_adapt_on_a_market_with_regimes() -> None:
    told = played("standard", 40)
    share, error = told["regime_adaptability"], told["regime_adaptability_standard_error"]
    assert 2.5 * error < share < 0.6
    assert told["adaptation_rows"] is None or 0 < told["adaptation_rows"] < WINDOW


def test_nothing_adapts_where_meta_learning_is_off() -> None:
    told = played("standard", 6, meta_learning_enabled=False)
    assert told["regime_switches"] > 0
    assert (told["regime_adaptability"], told["adaptation_rows"]) == (0.0, None)


def test_there_is_nothing_to_adapt_to_where_nothing_can_be_predicted() -> None:
    told = played("null", 40)
    assert abs(told["regime_adaptability"]) < 2 * told["regime_adaptability_standard_error"]
    assert told["adaptation_rows"] is None


@pytest.mark.parametrize("wanted", [False, True])
def test_the_page_says_what_it_is_about_with_units_baselines_and_errors(tmp_path: Path, wanted: bool) -> None:
    config = made("balanced", {"max_steps": 1000}, {"feature_analysis": wanted})
    folder = MetaLearningEnsembleTrainer(config, "page", tmp_path).save_checkpoint("final_session")
    evaluator = MetaLearningEvaluator(folder, config)
    found = evaluator.evaluate_comprehensive(4)
    written = (evaluator.results / "report.html").read_text()
    assert written.count("SIMULATED MARKETS") == 1
    assert ("<h2>Features</h2>" in written) is wanted
    for part in ("Drawdown", "Adapting to another regime", "one standard error", "Fees, % of capital"):
        assert part in written
    assert page(found | {"feature_analysis": {}, "feature_samples": 2}, _results(evaluator)).count(
        "it takes three"
    )


def _results(evaluator: MetaLearningEvaluator) -> list[Any]:
    trial = ensemble(evaluator.config, evaluator.env)
    return [play(trial, evaluator.env, seed, 1000) for seed in EPISODES[:2]]
