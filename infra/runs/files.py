"""Files that are whole or absent, whatever crashes."""

import os
from pathlib import Path


def replace_file(path: Path, raw: bytes) -> None:
    """Write a file beside the old one, bring it to disk and rename it: a crash leaves the old or the new one whole."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when its folder is
    os.fsync(folder)
    os.close(folder)
