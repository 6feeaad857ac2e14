"""Names of files that are no text."""

from __future__ import annotations

from pathlib import Path
from typing import IO


def printable(name: str) -> str:
    """The name of a file as text: a byte that is no UTF-8 becomes a question mark in a diamond."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def for_arrow(path: Path) -> Path | IO[bytes]:
    """A path as pyarrow reads it, which knows UTF-8 alone: a file under any other name is opened here."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.open("rb")
    return path
