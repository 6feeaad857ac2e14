"""How this release reads what an older release stored: upcasts convert the stored fields from version to version.

A stored thing, such as a stage's state of a book or what a learner has learned, is a mapping of field names to values.
Every kind of stored thing has a version and a tuple of upcasts; the version is one more than their number. `upcasts[k]`
is a pure function that turns version k + 1 into version k + 2. Where no version was stored, it is 1, as of 0.1.0.

To add a field, append an upcast that says which value stands for it in what was stored before. Mostly that is the value
in a new book:

    upcasts = (as_new("guard.ring", "guard.seen"),)

Where the value follows from other stored fields, write a function:

    def upcast_v2_v3(saved: Saved, fresh: Saved) -> Saved:
        return saved | {"numbers": [saved["control"]]}

A dropped field needs no upcast, since only fields that the release knows are read. A renamed field, or one of another
shape, needs one. An upcast that was released is never changed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from windvane.agents.errors import WindvaneError
from windvane.agents.program import VERSION

Saved = dict[str, Any]
Upcast = Callable[[Saved, Saved], Saved]
"""Takes the stored fields and those of a new thing with the same settings; returns the fields of the next version."""


class UpgradeError(WindvaneError):
    """This release cannot read what was stored; the message is one sentence that says which release can."""


def as_new(*names: str) -> Upcast:
    """Return an upcast that adds the fields `names` with the values that they have in a new thing."""

    def upcast(saved: Saved, fresh: Saved) -> Saved:
        return saved | {name: fresh[name] for name in names}

    return upcast


def version_of(upcasts: Sequence[Upcast]) -> int:
    """Return the version that this release stores for a kind of thing with these upcasts."""
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
    """Return the stored fields as this release would have stored them, by applying the upcasts from `version` on.

    saved: the stored fields; fresh: those of a new thing with the same settings; what: the kind of thing, in words;
    writer: the release that wrote it. Raises UpgradeError where this release does not know the version, because a
    newer one wrote it.
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
    """Raise UpgradeError where `now` lacks a field of `fresh`, or has an array of another shape or type than it.

    Kernels do not check shapes, so a field whose upcast somebody forgot must be refused before it reaches them.
    """
    why = "it is damaged, or of a development version that no upcast reads"
    for name, value in fresh.items():
        if name not in now:
            raise UpgradeError(f"{what}, written by windvane {writer}, lacks {name}: {why}")
        if isinstance(value, np.ndarray) and value.dtype != np.uint8:  # bytes may be of any length
            array = np.asarray(now[name])
            if array.shape != value.shape or array.dtype != value.dtype:
                raise UpgradeError(
                    f"{what}, written by windvane {writer}, has {name} as {array.dtype}{array.shape}, not "
                    f"{value.dtype}{value.shape}: {why}"
                )
