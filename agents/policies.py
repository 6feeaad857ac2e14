"""Policies on disk: who makes an agent of a folder. This room reads no files, so whoever can registers here."""

from collections.abc import Callable

from windvane.agents.base import Agent
from windvane.agents.errors import WindvaneError

Loader = Callable[[str], Agent]
"""Makes a new agent, which has seen no row, of the folder of a policy; raises WindvaneError where that is none."""

_LOADERS: list[Loader] = []  # the last one counts


def register_policies(loader: Loader) -> None:
    """Let agents of the kind "policy" be made by `loader` from now on."""
    _LOADERS.append(loader)


def load_policy(folder: str) -> Agent:
    """Return a new agent of a policy's folder; raises WindvaneError where nothing here can make one."""
    if not _LOADERS:
        raise WindvaneError(
            f"{folder} cannot be read as a policy: this installation has nothing that reads policy.json"
        )
    return _LOADERS[-1](folder)
