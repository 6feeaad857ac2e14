"""Presets: what each sets, in one table. What a table leaves out is the default of the settings.

All of them retrain the predictor: what is installed decides nothing.
"""

import difflib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from windvane.metamodel.config import ConfigError, WeighingConfig
from windvane.metamodel.limits import RiskLimits


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of the weighing and the limits that differ from the defaults."""

    weighing: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)


PRESETS: dict[str, Preset] = {
    # every optional limit off
    "balanced": Preset(),
    # diversified, and out of the market early
    "conservative": Preset(
        {"max_agent_weight": 0.4, "min_diversification_agents": 4, "weight_temperature": 1.0},
        {
            "volatility_target": 0.4,
            "var_95": 0.05,
            "daily_loss": 0.05,
            "max_drawdown": 0.25,
            "max_turnover": 20.0,
            "max_spread_bp": 50.0,
            "price_collar": 0.2,
        },
    ),
    # concentrated, halted only by a large loss
    "aggressive": Preset(
        {"max_agent_weight": 0.8, "min_diversification_agents": 2, "weight_temperature": 0.3},
        {"daily_loss": 0.2, "price_collar": 0.5},
    ),
    # as balanced: meant for full journals
    "research": Preset(),
}


def preset(name: str) -> tuple[WeighingConfig, RiskLimits]:
    """Weighing and limits of a preset; raises ConfigError for a name that is unknown."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        raise ConfigError(f"unknown preset {name!r}: did you mean {near!r}? Presets are {', '.join(PRESETS)}")
    chosen = PRESETS[name]
    return (
        msgspec.structs.replace(WeighingConfig(retraining=True), **chosen.weighing),
        msgspec.structs.replace(RiskLimits(), **chosen.limits),
    )
