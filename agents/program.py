"""Which program computes: its release, and a digest of the code that decides results."""

from typing import NamedTuple

VERSION = "0.2.0"

FIRST = "0.1.0"
"""The release whose states, runs and checkpoints do not name the release that wrote them."""


class Program(NamedTuple):
    """version: of the release; code: digest of all sources and weights that decide what a stage computes."""

    version: str
    code: str

    def __str__(self) -> str:
        return f"windvane {self.version} (code {self.code})"
