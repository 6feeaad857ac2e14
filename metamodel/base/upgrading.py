"""What an older release stored, brought up to date: by field name, a version a kind, and pure upcasts.

What is stored, a stage's state of a book or what a learner knows, is a mapping of field names. What the names mean has
a version: one more than there are upcasts. `upcasts[k]` is a pure function that turns version k + 1 into version k + 2;
where nothing was stored of a version, it is 1, as 0.1.0 wrote it.

To add a field, append an upcast that says what it was before it existed. Mostly that is what it is in a new book:

    upcasts = (as_new("guard.ring", "guard.seen"),)

Where it follows from what was stored, it is a function of its own:

    def upcast_v2_v3(saved: Saved, fresh: Saved) -> Saved:
        return saved | {"numbers": [saved["control"]]}

A field that was dropped needs nothing: what is not asked for is not read. One that was renamed, or has another shape,
needs an upcast. Released upcasts are never changed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from windvane.agents.errors import WindvaneError
from windvane.agents.program import VERSION

Saved = dict[str, Any]
Upcast = Callable[[Saved, Saved], Saved]
"""(what was stored, the same of something just begun with the same settings) -> what the next version had stored."""


class UpgradeError(WindvaneError):
    """What was stored cannot be read by this release: one sentence that says which can."""


def as_new(*names: str) -> Upcast:
    """An upcast for fields that begin as they do in something new."""

    def upcast(saved: Saved, fresh: Saved) -> Saved:
        return saved | {name: fresh[name] for name in names}

    return upcast


def version_of(upcasts: Sequence[Upcast]) -> int:
    """The version that is stored now."""
    return len(upcasts) + 1


def upcast(
    saved: Mapping[str, Any],
    fresh: Mapping[str, Any],
    upcasts: Sequence[Upcast],
    *,
    version: int,
    what: str,
    writer: str,
) -> Saved:
    """What was stored, by its version as this release would have stored it.

    fresh: the fields of something new; what: what it is, in words; writer: the release that wrote it. Raises
    UpgradeError where the version is not known here: a newer release wrote it.
    """
    known = version_of(upcasts)
    if not 1 <= version <= known:
        raise UpgradeError(
            f"{what} is of version {version}, written by windvane {writer}, and this is windvane {VERSION}, which "
            f"reads up to version {known}: run windvane {writer} or newer"
        )
    now, new = dict(saved), dict(fresh)
    for step in upcasts[version - 1 :]:
        now = step(now, new)
    return now


def check_fields(now: Mapping[str, Any], fresh: Mapping[str, Any], what: str, writer: str) -> None:
    """Refuse what lacks a field of something new, or has an array of another shape or type, and raise UpgradeError.

    Kernels do not check shapes: a field whose upcast was forgotten must not reach them.
    """
    why = "it is damaged, or of a development version that no upcast reads"
    for name, value in fresh.items():
        if name not in now:
            raise UpgradeError(f"{what}, written by windvane {writer}, lacks {name}: {why}")
        if isinstance(value, np.ndarray) and value.dtype != np.uint8:  # bytes may be of any length
            there = np.asarray(now[name])
            if there.shape != value.shape or there.dtype != value.dtype:
                raise UpgradeError(
                    f"{what}, written by windvane {writer}, has {name} as {there.dtype}{there.shape}, not "
                    f"{value.dtype}{value.shape}: {why}"
                )
