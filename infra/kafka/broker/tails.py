"""The last records of every book on every topic, read from the ends backwards, without a group."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

FIRST_WINDOW = 32
"""Offsets looked at from the end of a partition; markers of transactions take offsets, too."""

WIDEST_WINDOW = 8192
"""Where a book was not found in so many offsets, it was quiet for so long that the page says nothing of it."""

KEPT = 6
"""Records kept of each book and topic: the workers of several agents write one each."""

_QUIET_READS = 4
_READ_MS = 300


class Tail(NamedTuple):
    """A record near the end of a topic."""

    raw: bytes
    written: float  # when the broker got it, UNIX s


class Span(NamedTuple):
    """Offsets that a partition holds: first <= offset < stop."""

    first: int
    stop: int


Tails = dict[str, dict[str, list[Tail]]]
"""Topic -> book -> its last records, oldest first."""


async def spans(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Span]:
    """What each partition holds."""
    first, stop = await asyncio.gather(reader.beginning_offsets(places), reader.end_offsets(places))
    return {place: Span(first[place], stop[place]) for place in places}


async def read_tails(
    reader: AIOKafkaConsumer, held: Mapping[TopicPartition, Span], complete: Iterable[str]
) -> Tails:
    """The last records of every key; on the topics `complete` one of every book of the partition is looked for.

    A book is known by any of the topics; where another lacks it, the window there is widened, up to WIDEST_WINDOW.
    """
    wide = dict.fromkeys(held, FIRST_WINDOW)
    found: dict[TopicPartition, dict[str, list[Tail]]] = {place: {} for place in held}
    todo = [place for place, span in held.items() if span.stop > span.first]
    must = set(complete)
    while todo:
        starts = {place: max(held[place].first, held[place].stop - wide[place]) for place in todo}
        for place, books in (await _read(reader, starts, held)).items():
            found[place] = books
        todo = [
            place
            for place in held
            if starts.get(place, held[place].first) > held[place].first
            and wide[place] < WIDEST_WINDOW
            and _lacks(place, found, must)
        ]
        for place in todo:
            wide[place] *= 4
    tails: Tails = {}
    for place, books in found.items():
        tails.setdefault(place.topic, {}).update(books)
    return tails


def _lacks(place: TopicPartition, found: Mapping[TopicPartition, dict[str, Any]], must: set[str]) -> bool:
    """Whether a book of this partition was seen elsewhere, or nothing was seen at all."""
    if not found[place]:
        return True
    beside = [books for other, books in found.items() if other.partition == place.partition]
    known = {book for books in beside for book in books if book}
    return place.topic in must and bool(known - found[place].keys())


async def _read(
    reader: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], held: Mapping[TopicPartition, Span]
) -> dict[TopicPartition, dict[str, list[Tail]]]:
    """All from `starts` to the ends; what an open transaction holds back is left out."""
    reader.assign(list(starts))
    for place, offset in starts.items():
        reader.seek(place, offset)
    found: dict[TopicPartition, dict[str, list[Tail]]] = {place: {} for place in starts}
    quiet, at = 0, dict(starts)
    left = list(starts)
    while left and quiet < _QUIET_READS:
        batches = await reader.getmany(*left, timeout_ms=_READ_MS)
        for place, records in batches.items():
            for record in records:
                book = (record.key or b"").decode(errors="replace")
                kept = found[place].setdefault(book, [])
                kept.append(Tail(record.value or b"", record.timestamp / 1e3))
                del kept[:-KEPT]
        before, at = at, {place: await reader.position(place) for place in starts}
        quiet = 0 if at != before else quiet + 1
        left = [place for place in starts if at[place] < held[place].stop]
    return found
