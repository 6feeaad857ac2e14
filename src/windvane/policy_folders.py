"""Lets agents be named by the folder of a policy, and wrappers be made of ONNX files, in every process of Windvane.

Agents are named in a room that reads no files, so what reads them is named here. It is imported when a file is read.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from windvane.agents.policies import register_networks, register_policies

if TYPE_CHECKING:
    from windvane.agents.base import Agent
    from windvane.agents.learned.transitions import Layers


def read_policy(folder: str) -> "Agent":
    """Return a new agent of a policy's folder; raises WindvaneError where it holds none."""
    from windvane.infra.policies.folder import load_policy

    return load_policy(Path(folder))


def read_network(file: str) -> "Layers":
    """Return the network of an ONNX file; raises WindvaneError where it holds none."""
    from windvane.infra.policies.onnx_file import read_onnx

    return read_onnx(Path(file))


def register_folders() -> None:
    """Let `NAME=FOLDER` name an agent, and the path of an ONNX file a network."""
    register_policies(read_policy)
    register_networks(read_network)
