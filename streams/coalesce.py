"""Rows that came in many small batches as few large ones: what a step costs hardly depends on its rows.

The cut of rows into batches changes no result, so this only changes the speed: a stage that falls behind catches up.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from windvane.streams.events import Batch, Event, join

_Kind = tuple[object, ...]


def coalesced(events: Iterable[Event]) -> list[Event]:
    """The same events with rows that follow each other joined; of every book and kind the order stays."""
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
    """What batches must have in common to be joined: all that is no column, and which columns there are."""
    shared: list[object] = [type(batch)]
    for name in batch.__struct_fields__:
        value = getattr(batch, name)
        shared.append(name if isinstance(value, np.ndarray) else value)
    return tuple(shared)
