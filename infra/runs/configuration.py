"""Configurations from presets, the environment and files."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from windvane.agents.errors import WindvaneError
from windvane.agents.roster import check_recorded
from windvane.infra.runs.files import replace_file
from windvane.metamodel.base.config import ConfigError
from windvane.metamodel.base.parameters import unknown
from windvane.metamodel.settings.meta_config import PARAMETERS, MetaLearningConfig
from windvane.metamodel.settings.presets import PRESETS, made, overrides

_FORMS = (".json", ".toml")


def create_meta_learning_config(
    preset: str = "balanced",
    env_args: Mapping[str, Any] | None = None,
    custom_params: Mapping[str, Any] | None = None,
) -> MetaLearningConfig:
    """A preset (conservative, balanced, aggressive or research), changed by `custom_params`, then by the process.

    A variable WINDVANE_PARAMETER of the process, such as WINDVANE_MAX_AGENT_WEIGHT=0.5, has the last word. env_args:
    arguments of the trading environment that differ from its defaults. Raises ConfigError for what cannot be.
    """
    return made(preset, env_args, custom_params, os.environ)


class MetaLearningConfigManager:
    """Writes configs to files and reads them, as JSON or TOML by the suffix of the file."""

    @staticmethod
    def save_config_to_file(config: MetaLearningConfig, path: str | os.PathLike[str]) -> None:
        """Write every parameter; the classes of agent and environment are left out, since a file cannot hold them."""
        file = _file(path)
        values: dict[str, Any] = {"preset": config.preset, **config.recorded(), "env_args": config.env_args}
        try:
            text = json.dumps(values, indent=2) + "\n" if file.suffix == ".json" else _toml(values)
        except TypeError as error:
            raise ConfigError(f"env_args cannot be written to {file}: {error}") from error
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, text.encode())

    @staticmethod
    def load_config_from_file(
        path: str | os.PathLike[str],
        agent_class: Any = None,
        env_class: Any = None,
        env_args: Mapping[str, Any] | None = None,
    ) -> MetaLearningConfig:
        """The configuration of a file, overridden by variables WINDVANE_PARAMETER and by these arguments.

        A parameter that the file leaves out has its default. Raises ConfigError where the file cannot be read, or
        holds a parameter that is not known, or names code: an agent is a kind there, such as mine=class.
        """
        file = _file(path)
        values = _read(file)
        config = MetaLearningConfig()
        try:
            config.preset = _preset(values.pop("preset", "balanced"))
            saved_args = values.pop("env_args", {})
            for name in values:
                if name not in PARAMETERS:
                    raise unknown("parameter", name, (*PARAMETERS, "preset", "env_args"))
            config.env_args = {**config.env_args, **saved_args}
            check_recorded(values.get("agents", ()), str(file))
            config.update(values)
        except (WindvaneError, TypeError) as error:
            raise ConfigError(f"{file}: {error}") from error
        config.update(overrides(os.environ))
        if env_class is not None:
            config.env_class = env_class
        if env_args is not None:
            config.env_args = {**config.env_args, **env_args}
        config.agent_class = agent_class
        return config


def _file(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if file.suffix not in _FORMS:
        raise ConfigError(f"{file} is no configuration by its name: end it in {' or '.join(_FORMS)}")
    return file


def _preset(name: Any) -> str:
    if name not in PRESETS:
        raise unknown("preset", str(name), PRESETS)
    return str(name)


def _read(file: Path) -> dict[str, Any]:
    raw = file.read_bytes()
    try:
        values = json.loads(raw) if file.suffix == ".json" else tomllib.loads(raw.decode())
    except ValueError as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} holds no settings: give an object of parameters")
    return values


def _toml(values: Mapping[str, Any]) -> str:
    """Flat TOML with tables for mappings; None, which TOML lacks, is left out, since it is the default of a limit."""
    lines = [f"{name} = {_word(value)}" for name, value in values.items() if not _left_out(value)]
    for name, table in values.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{k} = {_word(v)}" for k, v in table.items() if v is not None)]
    return "\n".join(lines) + "\n"


def _left_out(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_word(part) for part in value)}]"
    return json.dumps(value)  # JSON and TOML write texts, numbers and truth values alike
