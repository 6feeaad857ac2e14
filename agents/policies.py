"""Policies on disk: who makes an agent of a folder. This room reads no files, so whoever can registers here."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from windvane.agents.errors import WindvaneError

if TYPE_CHECKING:  # the package registers while it is imported, which has to stay fast
    from windvane.agents.base import Agent

Loader = Callable[[str], "Agent"]
"""Makes a new agent, which has seen no row, of the folder of a policy; raises WindvaneError where that is none."""

_LOADERS: list[Loader] = []  # the last one counts


class NoFolderError(WindvaneError):
    """There is no folder of that name, so that the word may have meant something else than a policy."""


def register_policies(loader: Loader) -> None:
    """Let agents of the kind "policy" be made by `loader` from now on."""
    _LOADERS.append(loader)


def load_policy(folder: str) -> "Agent":
    """Return a new agent of a policy's folder; raises WindvaneError where it holds none, or nothing here reads one."""
    if not _LOADERS:
        raise WindvaneError(
            f"{folder} cannot be read as a policy: this installation has nothing that reads policy.json"
        )
    return _LOADERS[-1](folder)
