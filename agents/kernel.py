"""The decorators that compile kernels with numba: the same flags for all, and a cache on disk that is never stale.

Numba decides by the time stamp of a kernel's own file whether its cache is fresh, so a kernel would go on calling the
old version of another one that was edited. Windvane therefore caches kernels in a folder named after the digest of
all sources that hold kernels: after any edit the folder is a new one, and all kernels are compiled again.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config

from windvane.agents.program import VERSION, Program

F = TypeVar("F", bound=Callable[..., Any])

_ROOT = Path(__file__).resolve().parent.parent
_COMPILED = ("agents", "metamodel")
_PURE = (*_COMPILED, "streams")


def _digest(folders: tuple[str, ...], what: tuple[str, ...] = ("*.py",)) -> str:
    """Digest of the files of `folders` that match a pattern of `what`, and of the versions of numba and Python."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for folder in folders:
        for pattern in what:
            for path in sorted((_ROOT / folder).rglob(pattern)):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def code_digest() -> str:
    """Hex digest of everything that decides what a stage computes: pure sources, shipped weights, numba, Python."""
    return _digest(_PURE, ("*.py", "*.safetensors", "*.json"))


@cache
def this_program() -> Program:
    """The release and code digest of the running program, which are stored with whatever it computes."""
    return Program(VERSION, code_digest())


def cache_folder() -> Path:
    """The folder of compiled kernels: `kernels-DIGEST` in WINDVANE_CACHE, or in `windvane` of the user's cache folder.

    DIGEST is that of the sources which hold kernels, so every edit of them has a folder of its own.
    """
    home = os.environ.get("WINDVANE_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "windvane"
    )
    return Path(home) / f"kernels-{_digest(_COMPILED)}"


if not os.environ.get("NUMBA_CACHE_DIR"):
    setattr(config, "CACHE_DIR", str(cache_folder()))  # noqa: B010 (numba makes its settings at run time)


def _can_write(folder: str) -> bool:
    """Whether `folder` exists or can be created, and files can be written to it."""
    if folder.startswith("~"):  # the ~ was not replaced, because this user has no home folder
        return False
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


# Without a folder to write to, every run compiles all kernels. Numba's own choice would be to raise, or to cache beside
# the sources by their time stamps.
_CACHED = _can_write(str(getattr(config, "CACHE_DIR")))  # noqa: B009 (a setting made at run time)


def kernel(function: F, forceinline: bool = False) -> F:
    """Decorator: compile `function` with numba on its first call, without the GIL, and cache it on disk.

    There is no fastmath and no parallel loop, so sums keep their order and results are the same to the last bit
    however the input is cut into calls. Division by zero follows IEEE 754 (inf or NaN) instead of raising.
    """
    compiled = numba.njit(cache=_CACHED, error_model="numpy", nogil=True, forceinline=forceinline)(function)
    return cast(F, compiled)


def compiled_before() -> bool:
    """Whether `mark_compiled` was called for these sources on this machine; if not, a run first compiles kernels."""
    return _marker().is_file()


def mark_compiled() -> None:
    """Record in the cache folder that all kernels of these sources are compiled, for `compiled_before` to read."""
    marker = _marker()
    if marker.parent.is_dir():
        marker.touch()


def _marker() -> Path:
    """The empty file in the cache folder whose existence says that all kernels are compiled."""
    return Path(str(getattr(config, "CACHE_DIR"))) / "compiled"  # noqa: B009 (a setting made at run time)


def inlined(function: F) -> F:
    """Decorator: a `kernel` that is always inlined into its callers; for small functions that take whole states.

    Passing a tuple of arrays to a function costs a reference count for each array; inlining saves that.
    """
    return kernel(function, forceinline=True)
