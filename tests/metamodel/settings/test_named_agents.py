"""Agents of one's own in the settings of the meta-learner: in sessions, in files, and never as code in either."""

from pathlib import Path

import pytest

import guests
from windvane.infra.runs.configuration import MetaLearningConfigManager
from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.settings.meta_config import MetaLearningConfig

WORDS = ("vol_trend", "mine=guests:Drift", "slow=ema_momentum")


def settings(**more: object) -> MetaLearningConfig:
    return MetaLearningConfig(agents=WORDS, performance_prediction_enabled=False, **more)


def test_a_book_gets_ids_kinds_and_versions() -> None:
    config = settings().trading()
    assert config.agents == ("vol_trend", "mine", "slow")
    assert config.kinds == ("vol_trend", "class", "ema_momentum")
    assert config.versions == ("1", "3", "1")
    assert MetaLearningConfig.of(config).within(config) == config


def test_a_class_joins_as_such() -> None:
    config = MetaLearningConfig(agents=("buy_and_hold",), agent_class=guests.Drift)
    assert config.agents == ("buy_and_hold", "drift=guests:Drift")
    with pytest.raises(ConfigError, match=r"a class derived from windvane\.Agent"):
        config.agent_class = guests.Stranger


@pytest.mark.parametrize("suffix", ["json", "toml"])
def test_files_hold_kinds_and_take_no_code(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"c.{suffix}"
    MetaLearningConfigManager.save_config_to_file(settings(), file)
    assert "guests" not in file.read_text()
    again = MetaLearningConfigManager.load_config_from_file(file)
    assert again.agents == ("vol_trend", "mine=class", "slow=ema_momentum")
    file.write_text(file.read_text().replace("mine=class", "mine=guests:Drift"))
    with pytest.raises(ConfigError, match="names the code of agent mine: write mine=class"):
        MetaLearningConfigManager.load_config_from_file(file)


def test_a_session_learns_to_weigh_it_and_its_checkpoint_needs_the_class_named(tmp_path: Path) -> None:
    trainer = MetaLearningEnsembleTrainer(settings(), save_dir=tmp_path)
    figures = trainer.train_episode(0, max_steps=120)
    assert figures["steps"] == 120
    assert set(trainer.meta_ensemble.manager.weights) == {"vol_trend", "mine", "slow"}
    kept = trainer.save_checkpoint("kept")
    story = (kept / "checkpoint.json").read_text()
    assert "guests" not in story
    guests.Drift.made.clear()
    with pytest.raises(ConfigError, match=r"agents that are not built in \(mine=class\): give a config"):
        MetaLearningEvaluator(kept)
    assert not guests.Drift.made
    assert MetaLearningEvaluator(kept, settings()).meta_ensemble.config.agents[1] == "mine"


def test_a_session_without_the_code_is_refused_at_its_start(tmp_path: Path) -> None:
    words = ("vol_trend", "mine=class")
    config = MetaLearningConfig(agents=words, performance_prediction_enabled=False)
    with pytest.raises(ValueError, match="mine is of the kind class and made elsewhere, but a session asks"):
        MetaLearningEnsembleTrainer(config, save_dir=tmp_path)
