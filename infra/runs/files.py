"""Writes files so that they are whole or absent, whenever the process crashes."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def replace_file(path: Path, raw: bytes | Iterable[bytes], *, durably: bool = True) -> None:
    """Write a file beside the old one and rename it: a crash of the program leaves the old or the new one whole.

    raw: what it is to hold, or the parts of it in order; durably: bring it to disk, so that a power cut leaves one of
    them whole, too; it takes milliseconds.
    """
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.writelines([raw] if isinstance(raw, bytes) else raw)
        if durably:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)
    if durably:
        folder = os.open(path.parent, os.O_RDONLY)  # the new name is on disk only when its folder is
        os.fsync(folder)
        os.close(folder)


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Name the folder in the OSError of a full disk, which names no file where a write into an open one fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
            raise OSError(error.errno, os.strerror(error.errno), str(folder)) from error
        raise
