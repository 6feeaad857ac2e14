"""MetaLearningConfig: one table, checked on assignment, and the same truth as the settings it converts to."""

from typing import Any

import msgspec
import pytest

from windvane.agents.factory import AGENTS
from windvane.agents.rules import VolTrend
from windvane.metamodel.base.config import ConfigError, TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig
from windvane.metamodel.settings.presets import PRESETS, made

ELSEWHERE = {"prior", "retraining", "features"}  # set by meta_learning_enabled and two under other names
NUMBERS = [name for name, told in PARAMETERS.items() if told.kind in (int, float)]


def test_defaults_are_those_of_the_settings_they_become() -> None:
    config = MetaLearningConfig()
    assert config.weighing() == msgspec.structs.replace(WeighingConfig(), retraining=True)
    assert config.limits() == RiskLimits()
    assert config.trading(seed=3) == TradingConfig(
        agents=tuple(AGENTS), weighing=config.weighing(), limits=RiskLimits(), seed=3
    )


def test_every_setting_has_a_parameter() -> None:
    assert set(WeighingConfig.__struct_fields__) - ELSEWHERE <= set(PARAMETERS)
    assert set(RiskLimits.__struct_fields__) <= set(PARAMETERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_ends_of_a_range_are_taken_by_all_and_what_is_beyond_by_none(name: str) -> None:
    told = PARAMETERS[name]
    step: Any = 1 if told.kind is int else 1e-9
    config = made(custom_params={"kelly_criterion_enabled": True})
    for end in (told.low, told.high):
        if end is not None:
            setattr(config, name, told.kind(end))
            assert config.trading()
    for outside in (
        None if told.low is None else told.low - step,
        told.above,
        None if told.high is None else told.high + step,
        float("nan"),
    ):
        if outside is not None:
            before = getattr(config, name)
            with pytest.raises(ConfigError, match=f"^{name} is .*: give "):
                setattr(config, name, outside)
            assert getattr(config, name) == before


def test_a_name_that_is_unknown_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'max_agent_weight'"):
        MetaLearningConfig(max_agent_wieght=0.5)
    with pytest.raises(ConfigError, match="did you mean 'meta_epochs'"):
        MetaLearningConfig().meta_epoch = 3
    with pytest.raises(ConfigError, match=r"did you mean 'balanced'\? Presets are"):
        made("balance")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("meta_lookback", 500.5),
        ("meta_lookback", True),
        ("max_agent_weight", "much"),
        ("detailed_logging", 1),
        ("market_regimes", ["bull", "bear"]),
        ("market_regimes", "bull"),
        ("agents", ("dqnn",)),
        ("agents", ()),
        ("agents", ("vol_trend", "vol_trend")),
        ("env_args", 3),
        ("env_class", 3),
        ("agent_class", int),
        ("var_95", 0.0),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(name: str, value: Any) -> None:
    config = MetaLearningConfig()
    before = getattr(config, name)
    with pytest.raises(ConfigError) as refused:
        setattr(config, name, value)
    assert "\n" not in str(refused.value)
    assert (
        "give" in str(refused.value)
        or "name each" in str(refused.value)
        or "did you mean" in str(refused.value)
    )
    assert getattr(config, name) == before


def test_several_are_changed_together_or_not_at_all() -> None:
    config = MetaLearningConfig()
    with pytest.raises(ConfigError):
        config.update({"max_agent_weight": 0.3, "meta_epochs": 0})
    assert config == MetaLearningConfig()


def test_two_configs_share_nothing_that_can_change() -> None:
    one, other = MetaLearningConfig(), MetaLearningConfig()
    one.env_args["market"] = "hard"
    one.market_regimes.reverse()
    assert other == MetaLearningConfig()
    assert other.market_regimes == list(REGIMES)


def test_presets_hold_what_is_known_of_them() -> None:
    known = {
        "conservative": (0.4, 4, 1.0, 0.8),
        "aggressive": (0.8, 2, 0.3, 0.5),
        "balanced": (0.6, 3, 0.5, 0.7),
    }
    for name, values in known.items():
        c = made(name)
        assert values == (
            c.max_agent_weight,
            c.min_diversification_agents,
            c.weight_temperature,
            c.regime_stability_threshold,
        )
        assert c.preset == name
    research = made("research")
    assert research.detailed_logging
    assert research.meta_learning_debug
    assert research.feature_analysis
    assert research.decision_history_size > made().decision_history_size
    assert research.save_interval < made().save_interval
    assert research.trading() == made().trading()  # it trades alike
    for name in PRESETS:
        assert made(name).trading()


def test_the_environment_overrides_what_code_says_and_that_the_preset() -> None:
    given = {
        "WINDVANE_MAX_AGENT_WEIGHT": "0.5",
        "WINDVANE_KELLY_CRITERION_ENABLED": "true",
        "WINDVANE_VAR_95": "off",
        "WINDVANE_AGENTS": "vol_trend, buy_and_hold",
        "WINDVANE_LOG_LEVEL": "debug",
        "WINDVANE_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "HOME": "/",
    }
    c = made("conservative", custom_params={"max_agent_weight": 0.7, "meta_epochs": 3}, environ=given)
    assert (c.max_agent_weight, c.meta_epochs, c.weight_temperature) == (0.5, 3, 1.0)
    assert c.agents == ("vol_trend", "buy_and_hold")
    assert c.var_95 is None
    assert c.limits().kelly_fraction == c.kelly_fraction


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("WINDVANE_MAX_AGENT_WEIGTH", "0.5", "did you mean WINDVANE_MAX_AGENT_WEIGHT"),
        (
            "WINDVANE_META_EPOCHS",
            "many",
            "variable WINDVANE_META_EPOCHS: meta_epochs is 'many': give a whole",
        ),
        ("WINDVANE_META_EPOCHS", "0", "from 1 to 1000"),
        ("WINDVANE_DETAILED_LOGGING", "perhaps", "give true or false"),
    ],
)
def test_variables_that_do_not_fit_are_refused_by_name(variable: str, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(environ={variable: text})


def test_a_class_of_agents_joins_those_who_are_weighed() -> None:
    config = MetaLearningConfig(agents=("buy_and_hold",))
    config.agent_class = VolTrend
    assert config.trading().agents == ("buy_and_hold", "vol_trend")


def test_without_meta_learning_only_equal_weights_are_believed() -> None:
    weighing = MetaLearningConfig(meta_learning_enabled=False).weighing()
    assert weighing.prior[0] == sum(weighing.prior) == 1.0
    assert not weighing.retraining
