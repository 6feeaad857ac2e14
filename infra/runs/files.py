"""Files that are whole or absent, whatever crashes."""

import os
from pathlib import Path


def replace_file(path: Path, raw: bytes) -> None:
    """Replace a file in one step: a crash leaves the old or the new one."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when its folder is
    os.fsync(folder)
    os.close(folder)
