"""Many small batches of rows made few large ones, so that a stage that falls behind catches up.

What a step costs hardly depends on its rows, and the cut of rows into batches changes no result.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from windvane.streams.events import Batch, Event, join

_Kind = tuple[object, ...]


def coalesced(events: Iterable[Event]) -> list[Event]:
    """The same events, with batches joined whose rows follow each other; the order in every book and kind stays."""
    out: list[Event] = []
    runs: dict[str, dict[_Kind, list[Batch]]] = {}
    for event in events:
        kinds = runs.setdefault(event.book, {})
        if not isinstance(event, Batch):
            out.extend(_joined(kinds))
            kinds.clear()
            out.append(event)
            continue
        run = kinds.setdefault(_kind(event), [])
        if run and run[-1].last + 1 != event.first:
            out.extend(_joined(kinds))
            kinds.clear()
            run = kinds.setdefault(_kind(event), [])
        run.append(event)
    for kinds in runs.values():
        out.extend(_joined(kinds))
    return out


def _joined(kinds: dict[_Kind, list[Batch]]) -> Iterator[Batch]:
    return (join(run) for run in kinds.values())


def _kind(batch: Batch) -> _Kind:
    """What batches must have in common to be joined: all that is no column, and which columns they have."""
    shared: list[object] = [type(batch)]
    for name in batch.__struct_fields__:
        value = getattr(batch, name)
        shared.append(name if isinstance(value, np.ndarray) else value)
    return tuple(shared)
