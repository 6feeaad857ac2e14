"""Many small batches of rows made few large ones, so that a stage that falls behind catches up.

What a step costs hardly depends on its rows, and the cut of rows into batches changes no result.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from windvane.streams.events import Batch, Event, join

_Kind = tuple[object, ...]


def coalesced(events: Iterable[Event]) -> list[Event]:
    """The same events, with batches joined whose rows follow each other; the order in every book and kind stays."""
    out: list[Event] = []
    runs: dict[str, list[Batch]] = {}
    for event in events:
        run = runs.setdefault(event.book, [])
        if isinstance(event, Batch):
            run.append(event)
            continue
        out.extend(_joined(run))
        run.clear()
        out.append(event)
    for run in runs.values():
        out.extend(_joined(run))
    return out


def _joined(batches: Sequence[Batch]) -> Iterator[Batch]:
    """Batches of one book, joined by their kind; a hole in one of them keeps what is before it before what follows."""
    if len({type(batch) for batch in batches}) == len(batches):  # one of each: of many books, nearly always
        yield from batches
        return
    kinds: dict[_Kind, list[Batch]] = {}
    for batch in batches:
        run = kinds.setdefault(_kind(batch), [])
        if run and run[-1].last + 1 != batch.first:
            yield from map(join, kinds.values())
            kinds.clear()
            run = kinds.setdefault(_kind(batch), [])
        run.append(batch)
    yield from map(join, kinds.values())


def _kind(batch: Batch) -> _Kind:
    """What batches must have in common to be joined: all that is no column, and which columns they have."""
    shared: list[object] = [type(batch)]
    for name in batch.__struct_fields__:
        value = getattr(batch, name)
        shared.append(name if isinstance(value, np.ndarray) else value)
    return tuple(shared)
