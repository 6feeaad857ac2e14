"""Generates docs/parameters.md, the page of all settings of MetaLearningConfig and the presets; run it to write it."""

import sys
from typing import Any

from windvane.metamodel.features.selection import ALL, MOST
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig
from windvane.metamodel.settings.presets import PRESETS
from windvane.metamodel.trading.risk import Gate

_HEAD = f"""# Parameters

Made by `python -m windvane.infra.schemas.parameters_page`; edit the sources, not this page.

```python
from windvane import create_meta_learning_config

config = create_meta_learning_config("conservative", custom_params={{"max_agent_weight": 0.5}})
config.kelly_criterion_enabled = True  # checked: a wrong name or value is refused, with what would be right
```

A preset comes first, then `custom_params`, then the environment: `WINDVANE_MAX_AGENT_WEIGHT=0.3` has the last word,
for `windvane backtest --preset` too. `MetaLearningConfigManager` writes and reads JSON and TOML. What a pipeline,
trainer or evaluator was made from stays as it was when the config is changed later; what is only logged or reported
follows.

`regime_features_dim` is how many features the contextual weights and the performance predictor read: 1 to {ALL} the
first so many of `windvane.metamodel.features.extractor.NAMES` (the first 21 suffice), up to {MOST} also slow averages
of the first of them. The regimes' classifier always reads the features that it was trained on.
`agent_history_features` is how long the predictor remembers: its two EWMAs of an agent's scores have half-lives of 96
and 768 ticks at 20, and go with it.
`regime_stability_threshold` decides what is reported (`regime_stable`, of `get_trading_action` and `get_regime_info`)
and trades nothing by itself. `cash_expert` is off in every preset; [results.md](results.md) has what it is worth.
"""

_GATES = "Every wanted target passes these gates; a decision names those that acted as its verdicts."


def _shown(value: Any) -> str:
    """A value as the page shows it."""
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "all" if len(value) > 2 else ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def page() -> str:
    """Return the page as Markdown."""
    defaults = MetaLearningConfig()
    lines = [_HEAD, "| parameter | default | range | what |", "|---|---|---|---|"]
    for name, rule in PARAMETERS.items():
        wide = (
            "any of them"
            if rule.choices
            else rule.allowed().replace(", or None to switch it off", ", or off")
        )
        lines.append(f"| `{name}` | {_shown(getattr(defaults, name))} | {wide} | {rule.what} |")
    lines += ["", "## Presets", "", "What each sets; the rest is as above.", ""]
    lines += ["| preset | sets |", "|---|---|"]
    for preset, values in PRESETS.items():
        settings = ", ".join(f"`{name}` {_shown(value)}" for name, value in values.items())
        lines.append(f"| {preset} | {settings or 'nothing'} |")
    lines += ["", "## Risk gates", "", _GATES, "", "| verdict | what it means |", "|---|---|"]
    lines += [f"| {gate.name.lower()} | {gate.does} |" for gate in Gate]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
