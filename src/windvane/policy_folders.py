"""Lets agents be named by the folder of a policy, in every process that imports Windvane.

Agents are named in a room that reads no files, so what reads them is named here. It is imported when a folder is.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from windvane.agents.policies import register_policies

if TYPE_CHECKING:
    from windvane.agents.base import Agent


def read_policy(folder: str) -> "Agent":
    """Return a new agent of a policy's folder; raises WindvaneError where it holds none."""
    from windvane.infra.policies.folder import load_policy

    return load_policy(Path(folder))


def register_folders() -> None:
    """Let `NAME=FOLDER` name an agent."""
    register_policies(read_policy)
