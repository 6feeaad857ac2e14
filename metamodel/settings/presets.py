"""The presets in one table of the parameters that each sets; all others stay at the defaults of MetaLearningConfig."""

import difflib
from collections.abc import Mapping
from typing import Any

from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.parameters import parsed, unknown
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig

PRESETS: dict[str, dict[str, Any]] = {
    # no limit but the collar, which no honest market meets
    "balanced": {"price_collar": 0.5},
    # diversified, and out of the market early
    "conservative": {
        "max_agent_weight": 0.4,
        "min_diversification_agents": 4,
        "weight_temperature": 1.0,
        "regime_stability_threshold": 0.8,
        "volatility_target": 0.4,
        "var_95": 0.05,
        "daily_loss": 0.05,
        "max_drawdown": 0.25,
        "max_turnover": 20.0,
        "max_spread_bp": 50.0,
        "price_collar": 0.2,
    },
    # concentrated, halted only by a large loss
    "aggressive": {
        "max_agent_weight": 0.8,
        "min_diversification_agents": 2,
        "weight_temperature": 0.3,
        "regime_stability_threshold": 0.5,
        "daily_loss": 0.2,
        "price_collar": 0.5,
    },
    # trades as balanced; keeps and tells more
    "research": {
        "price_collar": 0.5,
        "decision_history_size": 10_000,
        "detailed_logging": True,
        "meta_learning_debug": True,
        "real_time_monitoring": True,
        "feature_analysis": True,
        "save_interval": 5,
    },
}

PREFIX = "WINDVANE_"
_NEAR = 0.85


def made(
    preset: str = "balanced",
    env_args: Mapping[str, Any] | None = None,
    custom_params: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> MetaLearningConfig:
    """Return the config of a preset, changed by `custom_params` and then by variables WINDVANE_PARAMETER.

    env_args: arguments of the environment that differ from its defaults; environ: the variables, None for those of
    this process. Raises ConfigError for an unknown name or a value out of range.
    """
    if preset not in PRESETS:
        raise ConfigError(f"{unknown('preset', preset, PRESETS)} Presets are {', '.join(PRESETS)}")
    config = MetaLearningConfig(**PRESETS[preset])
    config.preset = preset
    if env_args is not None:
        config.env_args = {**config.env_args, **env_args}
    config.update(custom_params or {})
    config.update(overrides(environ or {}))
    return config


def overrides(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that variables WINDVANE_PARAMETER set.

    Variables for other purposes have the same prefix, so an unknown name is ignored unless it nearly names a
    parameter; then ConfigError is raised.
    """
    names = {name.upper(): name for name in PARAMETERS}
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX):
            continue
        rest = variable.removeprefix(PREFIX)
        if rest in names:
            try:
                values[names[rest]] = parsed(names[rest], PARAMETERS[names[rest]], text)
            except ConfigError as error:
                raise ConfigError(f"variable {variable}: {error}") from error
        else:
            for near in difflib.get_close_matches(rest, names, n=1, cutoff=_NEAR):
                raise ConfigError(f"unknown variable {variable}: did you mean {PREFIX}{near}?")
    return values
