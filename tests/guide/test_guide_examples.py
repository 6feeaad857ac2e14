"""The original guide's examples run as users know them, with only their import lines changed.

What an example calls of the user's own is supplied here.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from known_examples import BLOCKS, SIGNATURES, imported

import windvane
from windvane.agents.rules import VolTrend
from windvane.infra.training_sessions import judging
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer

pytest.importorskip("torch", reason="the examples make states with torch, which is not installed")
pytestmark = pytest.mark.xdist_group("guide")

Names = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guide")


@pytest.fixture(scope="module")
def trainer(folder: Path) -> MetaLearningEnsembleTrainer:
    """A trainer after a short session, with which later examples go on."""
    config = windvane.create_meta_learning_config("balanced", custom_params={"evaluation_markets": 2})
    made = MetaLearningEnsembleTrainer(config, "examples", folder / "meta_learning_models")
    made.train_full_session(3, save_interval=2, max_steps=300)
    return made


@pytest.fixture
def names(folder: Path, trainer: MetaLearningEnsembleTrainer, monkeypatch: pytest.MonkeyPatch) -> Names:
    """The names that earlier examples have defined and imported."""
    import torch

    monkeypatch.chdir(folder)
    monkeypatch.setattr(judging, "STEPS", 300)  # at full length, tests/infra/training_sessions has them
    given: Names = {
        name: getattr(windvane, name)
        for name in (
            *("MetaLearningEnsembleTrainer", "MetaLearningEvaluator", "TradeSimulator", "send_alert"),
            *("create_meta_learning_config", "MetaLearningConfigManager"),
        )
    }
    config = windvane.create_meta_learning_config("balanced")
    config.break_step = 1000
    return given | {"torch": torch, "config": config, "trainer": trainer}


def run(title: str, names: Names) -> str:
    """Run an example and return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(imported(BLOCKS[title]), title, "exec"), names)  # noqa: S102
    return printed.getvalue()


def test_there_are_as_many_examples_as_there_were() -> None:
    assert len(BLOCKS) == 29
    assert set(SIGNATURES) <= set(BLOCKS)


@pytest.mark.parametrize("title", BLOCKS)
def test_only_import_lines_are_changed(title: str) -> None:
    for before, after in zip(BLOCKS[title].splitlines(), imported(BLOCKS[title]).splitlines(), strict=True):
        assert before == after or (before.split()[0] == "from" and after.split()[0] == "from")


def test_quick_setup(names: Names, folder: Path) -> None:
    run("Quick Setup", names)
    stats = names["session_stats"]
    assert stats["episodes_completed"] == 100
    assert stats["samples"] == 100 * 30, "no sample spans two markets"
    assert stats["meta_learning_updates"] == 50, "60 samples of two episodes, 50 needed"
    assert 0 < stats["predictor_swaps"] <= 50
    assert len(names["trainer"].meta_learning_manager.training_data["market_features"]) == 1000
    assert [told["episode"] for told in stats["evaluations"]] == list(range(0, 101, 10))
    assert stats["training_gain"]["low"] < stats["training_gain"]["mean"] < stats["training_gain"]["high"]
    models = folder / "meta_learning_models"
    for name in ("initial_session", "final_session", "best_models", "episode_20", "episode_100"):
        assert (models / name / "checkpoint.json").is_file()


PRESETS = {
    "Conservative Configuration": (0.4, 4, 1.0),
    "Aggressive Configuration": (0.8, 2, 0.3),
    "Balanced Configuration (Default)": (0.6, 3, 0.5),
    "Research Configuration": (0.6, 3, 0.5),
}


@pytest.mark.parametrize("title", PRESETS)
def test_presets_have_the_characteristics_that_are_told_of_them(title: str, names: Names) -> None:
    run(title, names)
    c = names["config"]
    assert (c.max_agent_weight, c.min_diversification_agents, c.weight_temperature) == PRESETS[title]


def test_custom_configuration(names: Names) -> None:
    run("Custom Configuration", names)
    weighing = names["config"].weighing()
    assert (weighing.meta_lookback, weighing.max_agent_weight, weighing.features) == (2000, 0.7, 75)
    assert names["config"].limits().kelly_fraction is not None


def test_configuration_persistence(names: Names) -> None:
    before = names["config"]
    names |= {"agent_class": VolTrend, "env_class": windvane.TradeSimulator, "env_args": {"market": "hard"}}
    run("Configuration Persistence", names)
    assert names["config"].values() == before.values()
    assert names["config"].env_args["market"] == "hard"


def test_basic_training(names: Names) -> None:
    few = {"evaluation_markets": 2}
    names["config"] = windvane.create_meta_learning_config("balanced", {"max_steps": 200}, few)
    run("Basic Training", names)
    stats = names["session_stats"]
    assert stats["episodes"] == 200
    assert len(stats["evaluations"]) == 1 + 20, "the start, too"
    assert len(stats["checkpoints"]) == 8


def test_advanced_training_options(names: Names, folder: Path) -> None:
    names["trainer"] = MetaLearningEnsembleTrainer(names["config"], "advanced", folder / "advanced")
    printed = run("Advanced Training Options", names)
    assert printed.count("Episode ") == 10
    assert (folder / "advanced" / "custom_checkpoint" / "checkpoint.json").is_file()
    assert any(path.name.startswith("high_perf_episode_") for path in (folder / "advanced").iterdir())


def test_training_monitoring(names: Names) -> None:
    printed = run("Training Monitoring", names)
    assert "Episodes completed: 3" in printed
    assert names["meta_samples"] == 3 * (300 // 32)
    assert names["regime_info"]["current_regime"] in printed


def test_comprehensive_evaluation(names: Names, folder: Path) -> None:
    printed = run("Comprehensive Evaluation", names)
    assert 0.0 <= names["portfolio_metrics"]["success_rate"] <= 1.0
    assert 0.0 < names["meta_metrics"]["regime_adaptability"] < 1.0
    assert "Regime Adaptability: 0." in printed
    assert "Max Drawdown" in printed
    assert (folder / "meta_learning_models" / "evaluation_results" / "results.json").is_file()


def test_running_tests(names: Names) -> None:
    printed = run("Running Tests", names)
    assert names["success"] is True
    assert names["framework_success"] is True
    assert "passed" in printed


def test_performance_benchmarking(names: Names) -> None:
    run("Performance Benchmarking", names)
    assert names["avg_time"] < 0.05
    assert names["action"] in (0, 1, 2)


def test_model_loading_for_production(names: Names) -> None:
    seen: list[tuple[int, Names]] = []

    def log(action: int, info: Names) -> None:
        seen.append((action, info))
        names["trading_active"] = len(seen) < 5

    names |= {
        "trading_active": True,
        "get_market_state": lambda: [0.1] * 50,
        "get_current_price": lambda: 100.0 + len(seen),
        "get_current_volume": lambda: 10.0,
        "execute_trade": lambda action: None,
        "log_trading_decision": log,
    }
    run("Model Loading for Production", names)
    assert [info["seq"] for _, info in seen] == list(range(5))
    assert not any(info["rejected"] for _, info in seen)


def test_production_monitoring(names: Names) -> None:
    told: list[str] = []
    logged: list[Names] = []
    names |= {"send_alert": told.append, "log_metrics": logged.append}
    run("Production Monitoring", names)
    names["monitor_meta_learning_performance"](names["trainer"])
    summary = names["trainer"].meta_ensemble.get_performance_summary()
    assert logged == [
        {
            "sharpe_ratio": summary["recent_sharpe"],
            "regime_stability": summary["regime_info"]["regime_stability"],
            "total_trades": summary["total_trades"],
        }
    ]
    assert ("Low Sharpe ratio detected" in told) == (summary["recent_sharpe"] < 0.5)


def test_hot_model_updates(names: Names, folder: Path) -> None:
    run("Hot Model Updates", names)
    swap = names["update_models_hot_swap"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert swap(names["trainer"], folder / "meta_learning_models" / "best_models")
        assert not swap(names["trainer"], folder / "nothing")
    assert "Model update failed" in printed.getvalue()


def test_environment_setup_errors(names: Names, folder: Path) -> None:
    names["config"].env_class = None
    with pytest.raises(
        windvane.ConfigError, match=r"env_class is None: set config\.env_class = TradeSimulator"
    ):
        MetaLearningEnsembleTrainer(names["config"], "none", folder / "none")
    run("Environment Setup Errors", names)
    assert MetaLearningEnsembleTrainer(names["config"], "some", folder / "some")


def test_meta_learning_not_learning(names: Names) -> None:
    names["config"].meta_training_frequency = 5000
    printed = run("Meta-Learning Not Learning", names)
    assert names["config"].meta_training_frequency == 250
    assert f"samples: {names['meta_samples']}" in printed


def test_whether_a_session_learns_is_seen_in_its_samples(names: Names, folder: Path) -> None:
    """50 samples of 32 ticks are needed; three episodes of 640 bring them, a session of 640 ticks in all does not."""
    seen = []
    for name, steps in (("learns", 10_000), ("short", 640)):
        names["config"] = windvane.create_meta_learning_config(
            "balanced", {"max_steps": 640}, {"evaluation_markets": 2}
        )
        names["config"].break_step = steps
        names["trainer"] = MetaLearningEnsembleTrainer(names["config"], name, folder / name)
        names["trainer"].train_full_session(3)
        run("Meta-Learning Not Learning", names)
        seen.append((names["meta_samples"], names["trainer"].training_stats["meta_learning_updates"]))
        assert names["config"].meta_training_frequency == 50
    assert seen == [(3 * 20, 1), (20, 0)]


def test_memory_issues(names: Names) -> None:
    run("Memory Issues", names)
    c = names["config"]
    assert (c.meta_lookback, c.decision_history_size, c.regime_history_window) == (500, 500, 50)


def test_slow_performance(names: Names) -> None:
    run("Slow Performance", names)
    weighing = names["config"].weighing()
    assert (weighing.meta_training_frequency, weighing.meta_epochs, weighing.meta_batch_size) == (100, 5, 16)


def test_debug_mode(names: Names, folder: Path) -> None:
    names["trainer"] = MetaLearningEnsembleTrainer(names["config"], "debug", folder / "debug")
    assert "debug" not in names["trainer"].meta_learning_manager.get_regime_info()
    printed = run("Debug Mode", names)
    assert "member_weights" in printed


def test_performance_monitoring(names: Names) -> None:
    printed = run("Performance Monitoring", names)
    assert "Memory" in printed
    assert names["memory"] == pytest.approx(windvane.monitor_resources()[0], rel=0.2)


def test_optimization_tips(names: Names) -> None:
    run("Optimization Tips", names)
    assert names["config"].regime_features_dim == 75
    assert names["config"].preset == "research"
