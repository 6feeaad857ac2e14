"""The identity of the running program: its release, and a digest of the code that decides results."""

from typing import NamedTuple

VERSION = "0.2.0"

FIRST = "0.1.0"
"""The first release. Its states, runs and checkpoints do not name their release, so what names none is of this one."""


class Program(NamedTuple):
    """A program as it is recorded beside its results.

    version: the release, such as "0.2.0"; code: digest of all sources and weights that decide what a stage computes.
    """

    version: str
    code: str

    def __str__(self) -> str:
        return f"windvane {self.version} (code {self.code})"
