"""One decorator for every compiled kernel: same flags, one cache that can never be stale.

Numba caches a kernel under the time stamp of its own file only, so a caller would keep an old callee. Kernels of
Windvane are cached in a folder named after the digest of all sources that hold kernels: any edit gives a new folder.
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
    digest = hashlib.sha256(f"{numba.__version__} {sys.version}".encode())
    for folder in folders:
        for pattern in what:
            for path in sorted((_ROOT / folder).rglob(pattern)):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def code_digest() -> str:
    """Digest of all that decides what a stage computes, weights too."""
    return _digest(_PURE, ("*.py", "*.safetensors"))


@cache
def this_program() -> Program:
    """The program that runs: stored with whatever it computes."""
    return Program(VERSION, code_digest())


def cache_folder() -> Path:
    """Where compiled kernels lie: WINDVANE_CACHE or the user's cache folder, then a digest of the sources."""
    home = os.environ.get("WINDVANE_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "windvane"
    )
    return Path(home) / f"kernels-{_digest(_COMPILED)}"


if not os.environ.get("NUMBA_CACHE_DIR"):
    setattr(config, "CACHE_DIR", str(cache_folder()))  # noqa: B010 (numba makes its settings at run time)


def _can_write(folder: str) -> bool:
    """Whether a folder is there, or can be made, and takes files."""
    if folder.startswith("~"):  # what is left of the name where a user has no home
        return False
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


# Where nothing can be kept, every run compiles anew: numba would refuse to, or cache beside the sources by their times.
_CACHED = _can_write(str(getattr(config, "CACHE_DIR")))  # noqa: B009 (a setting made at run time)


def kernel(function: F, forceinline: bool = False) -> F:
    """Compile `function` on its first call and cache it on disk.

    No fastmath and no parallel loops: sums keep their order, so results are the same to the last bit for any cut of
    the input. Division follows IEEE 754 instead of raising.
    """
    compiled = numba.njit(cache=_CACHED, error_model="numpy", nogil=True, forceinline=forceinline)(function)
    return cast(F, compiled)


def compiled_before() -> bool:
    """Whether all kernels of this version were compiled on this machine before (else a first run takes longer)."""
    return _marker().is_file()


def mark_compiled() -> None:
    """Remember that all kernels of this version have been compiled."""
    marker = _marker()
    if marker.parent.is_dir():
        marker.touch()


def _marker() -> Path:
    return Path(str(getattr(config, "CACHE_DIR"))) / "compiled"  # noqa: B009 (a setting made at run time)


def inlined(function: F) -> F:
    """A kernel that is always inlined into its callers: for small ones that are handed whole states.

    A tuple of arrays that crosses a call costs a reference count for each of its arrays.
    """
    return kernel(function, forceinline=True)
