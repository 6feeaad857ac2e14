"""Every parameter has an effect: it changes what is decided, remembered, reported or written, or is refused."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from windvane.agents.factory import AGENTS
from windvane.infra.policies.folder import unpacked
from windvane.infra.training_sessions.episodes import ensemble, environment
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig
from windvane.metamodel.settings.presets import made
from windvane.metamodel.simulation.trade_simulator import Episode, TradeSimulator
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble
from windvane.streams.schedule import Schedule

DECIDE: dict[str, tuple[Any, dict[str, Any]]] = {
    "meta_learning_enabled": (False, {}),
    "agents": (("vol_trend", "buy_and_hold", "ema_momentum"), {}),
    "max_agent_weight": (0.3, {}),
    "min_diversification_agents": (6, {}),
    "weight_temperature": (50.0, {}),
    "no_trade_band": (0.0, {}),
    "share_rate": (0.1, {}),
    "learning_rate": (0.5, {}),
    "cash_expert": (True, {}),
    "regime_features_dim": (21, {}),
    "kelly_criterion_enabled": (True, {}),
    "kelly_fraction": (0.01, {"kelly_criterion_enabled": True}),
    "max_position": (0.2, {}),
    "max_notional": (2e5, {}),
    "max_order_qty": (0.01, {}),
    "max_orders": (1, {"orders_interval": 10**14}),
    "orders_interval": (10**14, {"max_orders": 1}),
    "max_turnover": (0.2, {}),
    "max_spread_bp": (0.01, {}),
    "price_collar": (1e-4, {}),
    "daily_loss": (1e-3, {}),
    "max_drawdown": (1e-3, {}),
    "var_95": (1e-3, {}),
    "volatility_target": (0.01, {}),
    "confidence_scaling": (True, {}),
    "flatten_on_halt": (False, {"daily_loss": 1e-3}),
    "long_only": (True, {}),
}
"""For each parameter a value that changes decisions, and the other parameters that must be set for that."""

HELD = {"meta_batch_size": 7, "meta_epochs": 3, "performance_prediction_enabled": False}
"""For each parameter of the predictor's training a value that changes its weights."""

ELSEWHERE = {
    *("meta_training_frequency", "learner_lag", "meta_lookback", "agent_history_features", "market_regimes"),
    *("regime_history_window", "regime_stability_threshold", "decision_history_size", "detailed_logging"),
    *("meta_learning_debug", "real_time_monitoring", "feature_analysis", "break_step", "save_interval"),
    *("evaluation_interval", "evaluation_markets", "net_dims"),
}
"""Parameters that have a test of their own below."""


def test_no_parameter_is_left_out() -> None:
    assert {*DECIDE, *HELD, *ELSEWHERE} == set(PARAMETERS)
    assert len(DECIDE) + len(HELD) + len(ELSEWHERE) == len(PARAMETERS)


@cache
def episode() -> Episode:
    return TradeSimulator(max_steps=2500).episode(11)


def played(**values: Any) -> MetaLearningRiskManagedEnsemble:
    config = made(custom_params=values)
    whole = ensemble(config, environment(config))
    whole.desk.play(episode().rows)
    return whole


def decided(**values: Any) -> bytes:
    config = made(custom_params=values)
    whole = ensemble(config, environment(config))
    out = whole.desk.play(episode().rows).round.outputs
    return np.stack((out.wanted, out.target, out.position, out.equity)).tobytes()


@cache
def plainly(others: tuple[tuple[str, Any], ...]) -> bytes:
    return decided(**dict(others))


@pytest.mark.parametrize("name", DECIDE)
def test_what_changes_decisions(name: str) -> None:
    value, others = DECIDE[name]
    assert decided(**others, **{name: value}) != plainly(tuple(others.items()))


def test_fifty_features_are_what_there_always_was_and_slow_ones_join_above() -> None:
    assert decided(regime_features_dim=50) == plainly(())
    assert len({decided(regime_features_dim=k) for k in (21, 49, 50, 51, 75)}) == 5


def trained_with(folder: Path, **custom: object) -> dict[str, bytes]:
    """The predictor's arrays, as bytes by name, after three episodes of a session; {} where it takes no part."""
    config = made(
        "balanced", {"max_steps": 700}, {"meta_training_frequency": 10, "meta_epochs": 60, **custom}
    )
    session = MetaLearningEnsembleTrainer(config, "effects", folder)
    for episode in range(3):
        session.train_episode(episode)
    layers = session.meta_ensemble.manager.learner.learned.predictor.layers
    return {name: value.tobytes() for name, value in layers._asdict().items()}


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("name", HELD)
def test_how_the_predictor_is_trained_changes_it(name: str, tmp_path: Path) -> None:
    assert made(custom_params={name: HELD[name]}).weighing() != made().weighing()
    assert trained_with(tmp_path / "as-ever") != trained_with(tmp_path / "else", **{name: HELD[name]})


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_the_predictor_is_trained_on_the_features_that_were_asked_for(tmp_path: Path) -> None:
    layers = trained_with(tmp_path, regime_features_dim=60, meta_batch_size=7)
    assert len(layers["w1"]) == 4 * len(AGENTS) * (60 + 7 + 5) * 128
    assert any(layers["w1"])


def test_the_schedule_of_versions() -> None:
    often = Schedule(made(custom_params={"meta_training_frequency": 2, "learner_lag": 5}).weighing())
    assert (often.every, often.lag) == (64, 5)


def test_the_regimes_are_told_or_refused() -> None:
    config = MetaLearningConfig()
    config.market_regimes = list(reversed(config.market_regimes))
    with pytest.raises(ConfigError, match="give these seven"):
        config.market_regimes = config.market_regimes[:3]


def test_how_much_is_remembered() -> None:
    whole = played(meta_lookback=8, agent_history_features=3, decision_history_size=17)
    assert len(whole.desk.data.market_features) == 8
    assert len(whole.desk.tracker.decisions) == 17
    for told in whole.get_performance_summary()["agents"].values():
        assert len(told["history"]) == 3
        assert told["scores"] == 2500 // 32
    plain = played()
    assert len(plain.desk.data.market_features) == 2500 // 32
    common, own, scores = plain.desk.samples()
    other = played(agent_history_features=3).desk.samples()  # what the predictor reads, and what it learns
    assert (other[0].tobytes(), other[2].tobytes()) == (common.tobytes(), scores.tobytes())
    assert other[1].tobytes() != own.tobytes()


def test_the_predictor_reads_the_features_that_were_asked_for() -> None:
    for features in (21, 50, 75):
        assert played(regime_features_dim=features).desk.samples()[0].shape[1] == features + len(REGIMES)


def test_what_counts_as_a_stable_regime() -> None:
    stability = {w: played(regime_history_window=w).get_regime_info()["regime_stability"] for w in (1, 2000)}
    assert stability[1] == 1.0
    assert stability[2000] < 1.0
    for threshold, stable in ((stability[2000], True), (min(stability[2000] + 0.01, 1.0), False)):
        whole = played(regime_history_window=2000, regime_stability_threshold=threshold)
        assert whole.get_regime_info()["regime_stable"] is stable


def test_debugging_tells_what_every_way_to_weigh_thinks() -> None:
    x = episode().rows.x[600]
    for debug in (False, True):
        whole = played(meta_learning_debug=debug)
        assert ("debug" in whole.get_regime_info()) is debug
        told = whole.get_trading_action(x, 100.0)[1]
        assert ("debug" in told) is debug
    shares = told["debug"]["member_agent_weights"]
    assert set(shares) == set(whole.manager.members)
    assert all(np.isclose(sum(share.values()), 1.0) for share in shares.values())


def session(folder: Path, **values: Any) -> tuple[MetaLearningEnsembleTrainer, dict[str, Any]]:
    config = made(env_args={"max_steps": 200}, custom_params={"evaluation_markets": 2} | values)
    trainer = MetaLearningEnsembleTrainer(config, "effects", folder)
    return trainer, trainer.train_full_session(4)


def test_what_a_session_writes_and_when_it_ends(tmp_path: Path) -> None:
    plain, stats = session(tmp_path / "plain")
    assert stats["checkpoints"] == []
    assert [told["episode"] for told in stats["evaluations"]] == [0, 4]
    assert {told["markets"] for told in stats["evaluations"]} == {2}
    assert stats["meta_learning_updates"] == 0
    assert not (plain.save_dir / "decisions.jsonl").exists()
    loud, stats = session(
        tmp_path / "loud",
        save_interval=1,
        evaluation_interval=2,
        evaluation_markets=3,
        meta_training_frequency=3,
        detailed_logging=True,
        decision_history_size=10,
        break_step=600,
    )
    assert len(stats["checkpoints"]) == 3  # after 600 steps it was over
    assert stats["total_steps"] == 600
    assert [told["episode"] for told in stats["evaluations"]] == [0, 2, 3]
    assert {told["markets"] for told in stats["evaluations"]} == {3}
    assert stats["training_gain"]["markets"] == 3
    assert stats["meta_learning_updates"] == 3
    assert len((loud.save_dir / "decisions.jsonl").read_text().splitlines()) == stats["total_steps"]


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_net_dims_are_the_layers_of_agents_that_a_session_trains(tmp_path: Path) -> None:
    config = made("balanced", {"max_steps": 100}, {"net_dims": (8, 4)})
    trainer = MetaLearningEnsembleTrainer(config, "effects", tmp_path)
    assert set(trainer.train_episode(0)["learning"]) == {"dqn", "ppo", "rainbow"}
    assert {unpacked(policy).form.hidden for policy in trainer.agents.policies.values()} == {(8, 4)}


def test_monitoring_and_the_analysis_of_features(tmp_path: Path) -> None:
    for wanted in (False, True):
        trainer, _ = session(tmp_path / str(wanted), real_time_monitoring=wanted, feature_analysis=wanted)
        assert ("memory_mb" in trainer.train_episode(9)) is wanted
        evaluator = MetaLearningEvaluator(trainer.save_dir / "final_session", trainer.config)
        found = evaluator.evaluate_comprehensive(2, 200, save_results=False)
        assert ("feature_analysis" in found) is wanted
        assert not evaluator.results.exists()
    assert set(found["feature_analysis"]) == set(trainer.config.agents)
    assert all(abs(r) <= 1.0 for told in found["feature_analysis"].values() for r in told.values())
