"""Configurations from the environment and from files."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    """A preset (conservative, balanced, aggressive, research), what `custom_params` change, then the environment.

    A variable WINDVANE_PARAMETER, such as WINDVANE_MAX_AGENT_WEIGHT=0.5, has the last word. env_args: arguments of the
    environment that differ from its defaults. Raises ConfigError, in one sentence.
    """
    return made(preset, env_args, custom_params, os.environ)


class MetaLearningConfigManager:
    """Configurations as files, JSON or TOML by their suffix."""

    @staticmethod
    def save_config_to_file(config: MetaLearningConfig, path: str | os.PathLike[str]) -> None:
        """Write every parameter; classes are not written, since a file cannot hold them."""
        file = _file(path)
        told: dict[str, Any] = {"preset": config.preset, **config.values(), "env_args": config.env_args}
        try:
            text = json.dumps(told, indent=2) + "\n" if file.suffix == ".json" else _toml(told)
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
        """What was written, as far as the arguments and variables WINDVANE_PARAMETER do not override it.

        What a file leaves out is as by default. Raises ConfigError where it cannot be read or holds what is not known.
        """
        file = _file(path)
        told = _read(file)
        config = MetaLearningConfig()
        try:
            config.preset = _preset(told.pop("preset", "balanced"))
            saved_args = told.pop("env_args", {})
            for name in told:
                if name not in PARAMETERS:
                    raise unknown("parameter", name, (*PARAMETERS, "preset", "env_args"))
            config.env_args = {**config.env_args, **saved_args}
            config.update(told)
        except (ConfigError, TypeError) as error:
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
        told = json.loads(raw) if file.suffix == ".json" else tomllib.loads(raw.decode())
    except ValueError as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise ConfigError(f"{file} holds no settings: give an object of parameters")
    return told


def _toml(told: Mapping[str, Any]) -> str:
    """Flat TOML with one table at most; None, which it cannot say, is what a limit is by default."""
    lines = [f"{name} = {_word(value)}" for name, value in told.items() if not _left_out(value)]
    for name, table in told.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{k} = {_word(v)}" for k, v in table.items() if v is not None)]
    return "\n".join(lines) + "\n"


def _left_out(value: Any) -> bool:
    return value is None or isinstance(value, Mapping)


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_word(part) for part in value)}]"
    return json.dumps(value)  # texts, numbers and truth values are written alike
