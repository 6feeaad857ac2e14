"""The folder of this machine where stages keep their states: the user's own, or one that is named."""

from pathlib import Path

from platformdirs import user_state_path

from windvane.metamodel.base.config import ConfigError

VARIABLE = "WINDVANE_STATE"
"""The environment variable that names the folder."""

_EARLIER = Path("states")
"""The folder of 0.1.0, below the one that it was started in."""


def users_folder() -> Path:
    """This user's folder, the same wherever a command is started; raises ConfigError where the user has no home."""
    without = f"this user has no home folder to keep states in: give --state FOLDER, or set {VARIABLE}"
    try:
        folder = user_state_path("windvane", appauthor=False) / "stages"
    except RuntimeError as error:
        raise ConfigError(without) from error
    if not folder.is_absolute():  # older versions of platformdirs answer so where there is no home
        raise ConfigError(without)
    return folder


def folder_of(option: Path | None) -> Path | None:
    """The folder that an option --state means, the user's where it is None; `topic` means Kafka, which is None."""
    if option is None:
        return users_folder()
    return None if str(option) == "topic" else option


def check_none_left(folder: Path, below: Path) -> None:
    """Raises ConfigError where a stage would begin anew in the user's folder, though 0.1.0 left its states in ./states.

    below: the path of the stage's states in either folder: cluster, prefix and name.
    """
    if (_EARLIER / below).is_dir() and not (folder / below).exists():
        raise ConfigError(
            f"./{_EARLIER} holds states of {below.name}, as an earlier version kept them, and {folder} none: "
            f"run `mkdir -p {folder} && cp -a {_EARLIER}/. {folder}`, or go on there with --state {_EARLIER}"
        )
