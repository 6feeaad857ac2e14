"""What the contract of runners is about: a book with all that can happen to it, and what an embedded run of it says."""

from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np

from simulated_book import Recorded, config, full_book, opening, plain_run, swaps
from windvane.streams import topics
from windvane.streams.codec import from_json
from windvane.streams.events import Batch, Event, Ticks, cut
from windvane.streams.records import Fill, Order, fills_of, orders_of
from windvane.streams.topics import Topic

RESULTS = (
    topics.FEATURES,
    topics.PROPOSALS,
    topics.LEARNER,
    topics.DECISIONS,
    topics.ORDERS,
    topics.FILLS,
    topics.STATEMENTS,
    topics.SHADOWS,
    topics.DEAD_LETTERS,
)
ROWS = 1300


@cache
def book() -> tuple[list[Event], list[Event]]:
    """Rows that all came: bad ones, heartbeats, controls and swaps among them, columns that stop half way; a shadow."""
    (_, *events), controls = full_book(ROWS)
    opened = opening(config(shadows=("s",), shadow_kinds=("vol_trend",)))
    return [opened, *events], [*controls, *swaps()]


@cache
def reference() -> Recorded:
    """The embedded pipeline over the whole book in as few steps as there can be."""
    return plain_run(*book())


def batches(rows: int) -> list[Event]:
    """The events after the opening, ticks in batches of so many rows."""
    out: list[Event] = []
    for event in book()[0][1:]:
        if isinstance(event, Ticks):
            out.extend(cut(event, at, at + rows) for at in range(0, len(event), rows))
        else:
            out.append(event)
    return out


def until(event: Event, last: int) -> Event:
    """Rows of a batch up to seq `last`; other events whole."""
    if not isinstance(event, Batch):
        return event
    return cut(event, 0, int(np.searchsorted(event.seq, last, side="right")))


def contiguous(events: Sequence[Event], place: int) -> bool:
    """Whether no row is missing before this place, so that a stage holds nothing."""
    before = [e for e in events[:place] if isinstance(e, Ticks)]
    return not before or before[-1].last + 1 == sum(len(e) for e in before)


def events_of(topic: Topic, raws: Sequence[bytes]) -> list[Event]:
    """Records of one book and topic as the events that they were; orders and fills become columns again."""
    if not raws:
        return []
    if topic is topics.ORDERS:
        return [orders_of([msgspec.json.decode(raw, type=Order) for raw in raws])]
    if topic is topics.FILLS:
        return [fills_of([msgspec.json.decode(raw, type=Fill) for raw in raws])]
    return [from_json(raw) for raw in raws]
