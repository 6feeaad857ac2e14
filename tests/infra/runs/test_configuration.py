"""Configurations in files: what is written is read again, and what is damaged is refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_harness import refusal, simulated, windvane

from windvane.agents.rules import VolTrend
from windvane.infra.runs.configuration import MetaLearningConfigManager, create_meta_learning_config
from windvane.infra.schemas.parameters_page import page
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.settings.meta_config import PARAMETERS
from windvane.metamodel.settings.presets import PRESETS
from windvane.metamodel.simulation.trade_simulator import TradeSimulator

ROOT = Path(__file__).resolve().parents[3]
save = MetaLearningConfigManager.save_config_to_file
load = MetaLearningConfigManager.load_config_from_file


@pytest.mark.parametrize("suffix", [".json", ".toml"])
@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, preset: str) -> None:
    config = create_meta_learning_config(
        preset, {"market": "hard", "if_discrete": True}, {"agents": ["vol_trend"], "volatility_target": None}
    )
    file = tmp_path / "deep" / f"config{suffix}"
    save(config, file)
    assert load(file) == config


def test_the_page_of_parameters_is_up_to_date() -> None:
    found = (ROOT / "docs" / "parameters.md").read_text(encoding="utf-8")
    assert found == page(), "run `python -m windvane.infra.schemas.parameters_page > docs/parameters.md`"
    assert all(f"| `{name}` |" in found for name in PARAMETERS)


def test_arguments_override_the_file_and_the_environment_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.json"
    save(create_meta_learning_config(custom_params={"agents": ["buy_and_hold"]}), file)
    monkeypatch.setenv("WINDVANE_META_EPOCHS", "7")
    config = load(file, VolTrend, TradeSimulator, {"max_steps": 10})
    assert config.meta_epochs == 7
    assert config.agents == ("buy_and_hold", "vol_trend")
    assert config.env_args["max_steps"] == 10
    assert config.env_args["state_dim"] == 50


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.json", "{", "cannot be read"),
        ("c.json", "[]", "give an object"),
        ("c.json", '{"meta_epoch": 1}', "did you mean 'meta_epochs'"),
        ("c.json", '{"meta_epochs": 0}', "from 1 to 1000"),
        ("c.json", '{"env_args": 3}', "c.json"),
        ("c.json", '{"preset": "bold"}', "did you mean"),
        ("c.toml", "meta_epochs = ", "cannot be read"),
        ("c.ini", "", "end it in .json or .toml"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said) as refused:
        load(tmp_path / name)
    assert name in str(refused.value)


def test_a_backtest_takes_presets_and_the_environment_from_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = tmp_path / "m.parquet"
    simulated(market, 700)

    def config(out: str, *options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        ran = windvane("backtest", market, "--out", tmp_path / out, *options)
        assert ran.code == 0, ran
        told = json.loads((tmp_path / out / "metrics.json").read_bytes())["config"]
        return told, json.loads((tmp_path / out / "journal" / "run.json").read_bytes())

    told, run = config("a", "--preset", "conservative")
    assert told["weighing"]["max_agent_weight"] == 0.4
    assert told["limits"]["volatility_target"] == 0.4
    assert not run["full"]
    assert config("r", "--preset", "research")[1]["full"]
    monkeypatch.setenv("WINDVANE_MAX_AGENT_WEIGHT", "0.45")
    assert config("b", "--preset", "conservative")[0]["weighing"]["max_agent_weight"] == 0.45
    monkeypatch.setenv("WINDVANE_MAX_AGENT_WEIGHT", "4")
    assert "WINDVANE_MAX_AGENT_WEIGHT" in refusal(windvane("backtest", market, "--out", tmp_path / "c"))
