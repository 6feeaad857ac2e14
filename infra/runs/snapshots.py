"""The snapshot of a run: the state of all stages at an offset of its journal, in a file that is whole or absent."""

import zlib
from pathlib import Path
from typing import Any

from windvane.agents.errors import WindvaneError
from windvane.infra.runs.files import replace_file
from windvane.streams.codec import WireError, pack, unpack

SNAPSHOT = "snapshot.wvs"
START = "start.wvs"
"""The snapshot of where a day's file of a journal begins, beside that file; the first day of a book has none."""


class RunError(WindvaneError):
    """A run that must not be started, or cannot be read: one sentence that says why, and what to do."""


def write_snapshot(path: Path, head: dict[str, Any], state: bytes) -> None:
    """Replace the snapshot at `path`. head: JSON values, such as how far the run has come; state: of the runner."""
    told = pack(head)
    body = len(told).to_bytes(4, "little") + told + state
    replace_file(path, zlib.crc32(body).to_bytes(4, "little") + body)


def read_snapshot(path: Path) -> dict[str, Any]:
    """The head of a snapshot, and its state under "state"; raises RunError where it is damaged."""
    raw = path.read_bytes()
    crc, size = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
    try:
        if zlib.crc32(raw[4:]) != crc:
            raise WireError("checksum")
        head = unpack(raw[8 : 8 + size])
    except WireError as error:
        raise RunError(f"{path} is damaged: remove {path.parent} and run again") from error
    return {**head, "state": raw[8 + size :]}
