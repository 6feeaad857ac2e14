"""Policies on disk among the agents of a training session."""

from pathlib import Path

import pytest

from some_policy import form, layers
from windvane.infra.policies.folder import write_policy
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.settings.presets import made


def test_a_policy_takes_part_and_a_checkpoint_does_not_name_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    write_policy(folder, layers((51, 16, 8, 3), 0, 0), form())
    agents = ("ema_momentum", "vol_trend", f"dqn={folder}")
    config = made("balanced", {"max_steps": 120}, {"agents": agents, "performance_prediction_enabled": False})
    trainer = MetaLearningEnsembleTrainer(config, "tests", tmp_path / "models")
    trainer.train_episode(0, 120)
    assert trainer.meta_ensemble.config.kinds == ("ema_momentum", "vol_trend", "policy")
    trainer._save_checkpoint("mine")
    for path in (tmp_path / "models").rglob("*.json"):
        assert str(folder) not in path.read_text()
    found = MetaLearningEvaluator(tmp_path / "models" / "mine", config).evaluate_comprehensive(1, 120, False)
    assert "dqn" in found["agent_comparison"]
    with pytest.raises(
        ConfigError, match=r"dqn=policy.: give a config whose agents name their classes or folders"
    ):
        MetaLearningEvaluator(tmp_path / "models" / "mine")
