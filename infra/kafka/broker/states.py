"""Where stages keep their states on this machine: in the user's own folder, or in one that is named."""

from pathlib import Path

from platformdirs import user_state_path

from windvane.metamodel.base.config import ConfigError

VARIABLE = "WINDVANE_STATE"
"""The environment's name of the folder."""

_EARLIER = Path("states")
"""Where 0.1.0 kept them: wherever it was started."""


def users_folder() -> Path:
    """The folder of this user, the same wherever a command is started. Raises ConfigError for who has no home."""
    without = f"this user has no home folder to keep states in: give --state FOLDER, or set {VARIABLE}"
    try:
        folder = user_state_path("windvane", appauthor=False) / "stages"
    except RuntimeError as error:
        raise ConfigError(without) from error
    if not folder.is_absolute():  # what older versions of platformdirs say
        raise ConfigError(without)
    return folder


def folder_of(given: Path | None) -> Path | None:
    """The folder to use for an option --state; None: states are kept on Kafka, which is what `topic` says."""
    if given is None:
        return users_folder()
    return None if str(given) == "topic" else given


def check_none_left(folder: Path, below: Path) -> None:
    """Raise ConfigError where states would be begun anew in the user's folder though older ones lie here.

    below: the path of a stage's states in a folder: cluster, prefix and name.
    """
    if (_EARLIER / below).is_dir() and not (folder / below).exists():
        raise ConfigError(
            f"./{_EARLIER} holds states of {below.name}, as an earlier version kept them, and {folder} none: "
            f"run `mkdir -p {folder} && cp -a {_EARLIER}/. {folder}`, or go on there with --state {_EARLIER}"
        )
