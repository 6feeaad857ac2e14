"""A config that is changed after something was created from it is in effect from the next row on, or is refused."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from test_effects import DECIDE, ELSEWHERE, HELD, episode, trained_with

from windvane.infra.training_sessions.episodes import ensemble, environment
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError, Costs, TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.features.extractor import FeatureRows
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig
from windvane.metamodel.settings.presets import made
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble

FIXED = {
    "agents",
    "meta_learning_enabled",
    "performance_prediction_enabled",
    "regime_features_dim",
    "cash_expert",
    "max_orders",
    "net_dims",
}
OTHER: dict[str, Any] = {
    **{name: value for name, (value, _) in DECIDE.items()},
    **HELD,
    "meta_training_frequency": 7,
    "learner_lag": 5,
    "meta_lookback": 8,
    "agent_history_features": 3,
    "regime_history_window": 20,
    "regime_stability_threshold": 0.2,
    "decision_history_size": 17,
    "detailed_logging": True,
    "meta_learning_debug": True,
    "real_time_monitoring": True,
    "feature_analysis": True,
    "break_step": 300,
    "save_interval": 3,
    "evaluation_interval": 3,
    "evaluation_markets": 3,
    "net_dims": (8,),
}
"""For every parameter a value other than its default; that of regimes has only one valid value."""


def rows(start: int, stop: int) -> FeatureRows:
    return FeatureRows(*(column[start:stop] for column in episode().rows))


def play(whole: MetaLearningRiskManagedEnsemble, start: int, stop: int) -> np.ndarray:
    """Trade the rows from `start` to `stop`, and return what was wanted, the targets, positions and equities."""
    whole.follow_settings()
    out = whole.desk.play(rows(start, stop)).round.outputs
    return np.stack((out.wanted, out.target, out.position, out.equity))


def reported(whole: MetaLearningRiskManagedEnsemble) -> tuple[Any, ...]:
    """The containers of what an ensemble remembers, whose limits may be set, and what it reports about itself."""
    desk = whole.desk
    return (
        desk.tracker.decisions,
        [list(map(bytes, kept)) for kept in desk.data],
        {name: list(w.history) for name, w in desk.wrappers.items()},
        whole.get_regime_info(),
        whole.get_performance_summary(),
    )


def others(name: str) -> dict[str, Any]:
    return DECIDE[name][1] if name in DECIDE else {}


def test_no_parameter_is_left_out() -> None:
    assert set(OTHER) == set(PARAMETERS) - {"market_regimes"}
    assert {*DECIDE, *HELD, *ELSEWHERE} == set(PARAMETERS)


@pytest.mark.parametrize("name", sorted(set(OTHER) - FIXED))
def test_a_change_before_the_first_row_is_as_if_it_had_been_there(name: str) -> None:
    config = made(custom_params=others(name))
    changed = ensemble(config, environment(config))
    assert changed.desk.seq == 0
    setattr(config, name, OTHER[name])
    new = made(custom_params=others(name) | {name: OTHER[name]})
    right = ensemble(new, environment(new))
    assert changed.settings.trading() == new.trading()
    assert play(changed, 0, 900).tobytes() == play(right, 0, 900).tobytes()
    assert changed.config == right.config
    assert reported(changed) == reported(right)


@pytest.mark.parametrize("name", sorted(set(DECIDE) - FIXED))
def test_a_change_between_two_rows_is_in_effect_from_the_next(name: str) -> None:
    config = made(custom_params=others(name))
    whole, plain = (ensemble(config, environment(config)) for _ in range(2))
    before = play(whole, 0, 1000)
    assert before.tobytes() == play(plain, 0, 1000).tobytes()
    plain.settings = MetaLearningConfig(**config.values())
    setattr(config, name, OTHER[name])
    assert play(whole, 1000, 2500).tobytes() != play(plain, 1000, 2500).tobytes()


def test_who_holds_an_ensemble_and_asks_it_row_by_row_has_the_change_too() -> None:
    whole = ensemble(config := made(), environment(config))
    market = rows(0, 1000)
    action = [whole.get_trading_action(x, float(p))[1] for x, p in zip(market.x, market.price, strict=True)]
    assert abs(action[-1]["target"]) > 0.05
    config.max_position = 0.05
    info = whole.get_trading_action(market.x[-1], float(market.price[-1]))[1]
    assert abs(info["target"]) <= 0.05
    assert whole.config.limits.max_position == 0.05


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_an_ensemble_was_made_for_is_refused_before_anything_moves(name: str, tmp_path: Path) -> None:
    config = made(env_args={"max_steps": 50}, custom_params=others(name))
    trainer = MetaLearningEnsembleTrainer(config, "changes", tmp_path)
    was = getattr(config, name)
    trainer.train_episode(0)
    learned = trainer.meta_ensemble.state()
    setattr(config, name, OTHER[name])
    for use in (
        lambda: trainer.train_episode(1),
        lambda: trainer.meta_ensemble.get_trading_action([0.0] * 50, 100.0),
        trainer.evaluate,
    ):
        with pytest.raises(ConfigError, match=f"^{name} was changed from .*: set it back, or make another$"):
            use()
    setattr(config, name, was)
    now = trainer.meta_ensemble.state()
    assert all(now[key].tobytes() == value.tobytes() for key, value in learned.items())
    assert trainer.train_episode(1)["steps"] == 50


def remembered(whole: MetaLearningRiskManagedEnsemble) -> tuple[Any, ...]:
    """The decisions, samples, scores and regime labels that an ensemble still remembers."""
    desk = whole.desk
    return (
        list(desk.tracker.decisions),
        [[kept.tobytes() for kept in column] for column in desk.data],
        [list(w.history) for w in desk.wrappers.values()],
        desk.classifier.state()["regime.held"].tolist(),
    )


@pytest.mark.parametrize("more", [False, True])
def test_what_is_remembered_follows_between_two_rows(more: bool) -> None:
    """After a limit is lowered, the newest entries are kept at once; after it is raised, later ones fill it up."""
    names = ("decision_history_size", "agent_history_features", "meta_lookback", "regime_history_window")
    small, large = (
        dict(zip(names, (17, 3, 8, 40), strict=True)),
        dict(zip(names, (300, 9, 9, 300), strict=True)),
    )
    values, other = (small, large) if more else (large, small)
    config = made(custom_params=values)
    whole, right = (ensemble(c, environment(c)) for c in (config, made(custom_params=other)))
    play(whole, 0, 2000)
    play(right, 0, 2000)
    config.update(other)
    whole.follow_settings()
    assert (remembered(whole) == remembered(right)) is not more
    play(whole, 2000, 2320)
    play(right, 2000, 2320)
    assert remembered(whole) == remembered(right)


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_how_the_predictor_is_trained_follows(tmp_path: Path) -> None:
    values = {"meta_batch_size": 7, "meta_epochs": 30, "meta_lookback": 15}
    config = made(
        env_args={"max_steps": 700},
        custom_params={"meta_training_frequency": 10, "meta_epochs": 60, "evaluation_markets": 2},
    )
    trainer = MetaLearningEnsembleTrainer(config, "changes", tmp_path)
    config.update(values)
    for number in range(3):
        trainer.train_episode(number)
    layers = trainer.meta_ensemble.manager.learner.learned.predictor.layers
    found = {name: value.tobytes() for name, value in layers._asdict().items()}
    assert found == trained_with(tmp_path / "right", **values)
    before = MetaLearningEnsembleTrainer(config, "fresh", tmp_path / "fresh").training_stats
    figures = trainer.train_full_session(1)
    assert [name for name, value in before.items() if figures[name] == value] == [], "every figure has moved"


def test_another_environment_is_the_next_episodes(tmp_path: Path) -> None:
    config = made(env_args={"max_steps": 200})
    trainer = MetaLearningEnsembleTrainer(config, "changes", tmp_path)
    config.env_args["market"] = "hard"  # in place, so that no assignment shows the change
    config.env_args = {**config.env_args, "max_steps": 100, "fee_bp": 7.0}
    fresh = MetaLearningEnsembleTrainer(made(env_args=config.env_args), "fresh", tmp_path / "fresh")
    found, right = (dict(t.train_episode(3)) for t in (trainer, fresh))
    assert found | {"seconds": 0} == right | {"seconds": 0}
    assert trainer.meta_ensemble.config.costs == Costs(fee_bp=7.0, delay=0)
    config.env_args["delay"] = 2
    with pytest.raises(ConfigError, match=r"^delay was changed from 0 to 2"):
        trainer.train_episode(4)


def test_an_evaluator_follows_its_config(tmp_path: Path) -> None:
    config = made(env_args={"max_steps": 100})
    trainer = MetaLearningEnsembleTrainer(config, "changes", tmp_path)
    folder = trainer.save_checkpoint("here")
    evaluator = MetaLearningEvaluator(folder)
    evaluator.config.update({"max_position": 0.1, "feature_analysis": True})
    evaluator.config.env_args["fee_bp"] = 9.0
    fresh = MetaLearningEvaluator(
        folder, made(env_args={"max_steps": 100, "fee_bp": 9.0}, custom_params={"max_position": 0.1})
    )
    found, right = (e.evaluate_comprehensive(2, 300, save_results=False) for e in (evaluator, fresh))
    assert found.pop("feature_analysis")
    assert found.pop("feature_samples") == 2 * (300 // 32)
    assert found == right
    assert evaluator.meta_ensemble.config == fresh.meta_ensemble.config
    evaluator.config = made(env_args={"max_steps": 100}, custom_params={"max_position": 0.3})
    assert evaluator.meta_ensemble.config.limits.max_position == 0.3


def test_an_ensemble_of_frozen_settings_says_what_they_are_and_takes_others() -> None:
    frozen = TradingConfig(
        agents=("vol_trend", "buy_and_hold"),
        weighing=WeighingConfig(prior=(1.0, 1.0, 1.0, 1.0, 1.0, 1.0), max_agent_weight=0.7, share_rate=0.9),
        limits=RiskLimits(max_position=0.5, kelly_fraction=0.2),
    )
    whole = MetaLearningRiskManagedEnsemble(frozen)
    assert (whole.settings.max_position, whole.settings.share_rate, whole.settings.kelly_fraction) == (
        0.5,
        0.9,
        0.2,
    )
    assert whole.settings.within(frozen) == frozen
    whole.settings.max_agent_weight = 0.6
    whole.follow_settings()
    weighing = msgspec.structs.replace(frozen.weighing, max_agent_weight=0.6)
    assert whole.config == msgspec.structs.replace(frozen, weighing=weighing)
    kept = whole.settings
    with pytest.raises(ConfigError, match=r"^agents was changed"):
        whole.settings = MetaLearningConfig()
    assert whole.settings is kept
