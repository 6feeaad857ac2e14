"""Policies on disk: who makes an agent of a folder, and who reads the networks of others.

This room reads no files, so whoever can registers here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from windvane.agents.errors import WindvaneError

if TYPE_CHECKING:  # the package registers while it is imported, which has to stay fast
    from windvane.agents.base import Agent
    from windvane.agents.learned.transitions import Layers

Loader = Callable[[str], "Agent"]
"""Makes a new agent, which has seen no row, of the folder of a policy; raises WindvaneError where that is none."""

Reader = Callable[[str], "Layers"]
"""Reads the network of an ONNX file; raises WindvaneError where that is none that a policy can be made of."""

_LOADERS: list[Loader] = []  # the last one counts
_READERS: list[Reader] = []  # here, too


class NoFolderError(WindvaneError):
    """There is no folder of that name, so that the word may have meant something else than a policy."""


def register_policies(loader: Loader) -> None:
    """Let agents of the kind "policy" be made by `loader` from now on."""
    _LOADERS.append(loader)


def register_networks(reader: Reader) -> None:
    """Let ONNX files be read by `reader` from now on."""
    _READERS.append(reader)


def load_policy(folder: str) -> "Agent":
    """Return a new agent of a policy's folder; raises WindvaneError where it holds none, or nothing here reads one."""
    if not _LOADERS:
        raise WindvaneError(
            f"{folder} cannot be read as a policy: this installation has nothing that reads policy.json"
        )
    return _LOADERS[-1](folder)


def read_network(file: str) -> "Layers":
    """Return the network of an ONNX file; raises WindvaneError where it holds none, or nothing here reads one."""
    if not _READERS:
        raise WindvaneError(f"{file} cannot be read: this installation has nothing that reads ONNX files")
    return _READERS[-1](file)
