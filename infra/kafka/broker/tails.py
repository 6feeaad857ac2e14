"""The last records of every book on every topic: windows before the ends are read, and widened where one is missing."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

FIRST_WINDOW = 32
"""Offsets before the end of a partition that are read at first; markers of transactions take offsets, too."""

WIDEST_WINDOW = 8192
"""A book without a record in so many offsets was quiet for so long that it is passed over."""

KEPT = 6
"""Records returned of each book and topic: several, since each worker of some agents writes its own."""

_QUIET_READS = 4
_READ_MS = 300


class Tail(NamedTuple):
    """A record near the end of a topic, with the time at which the broker received it."""

    raw: bytes
    written: float  # when the broker got it, UNIX s


class Span(NamedTuple):
    """The offsets that a partition holds: first <= offset < stop."""

    first: int
    stop: int


Tails = dict[str, dict[str, list[Tail]]]
"""Topic -> book -> its last records, oldest first."""


async def spans(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Span]:
    """By place the offsets that a partition holds."""
    first, stop = await asyncio.gather(reader.beginning_offsets(places), reader.end_offsets(places))
    return {place: Span(first[place], stop[place]) for place in places}


async def read_tails(
    reader: AIOKafkaConsumer, ranges: Mapping[TopicPartition, Span], complete: Iterable[str]
) -> Tails:
    """The last records of every book on the places of `ranges`, which says what offsets they hold.

    complete: names of topics on which every book of the partition is to be there: where a book is known from another
    topic and not seen yet on one of these, the window is widened, up to WIDEST_WINDOW offsets.
    """
    wide = dict.fromkeys(ranges, FIRST_WINDOW)
    seen: dict[TopicPartition, dict[str, list[Tail]]] = {place: {} for place in ranges}
    todo = [place for place, span in ranges.items() if span.stop > span.first]
    must = set(complete)
    while todo:
        starts = {place: max(ranges[place].first, ranges[place].stop - wide[place]) for place in todo}
        for place, books in (await _read(reader, starts, ranges)).items():
            seen[place] = books
        todo = [
            place
            for place in ranges
            if starts.get(place, ranges[place].first) > ranges[place].first
            and wide[place] < WIDEST_WINDOW
            and _lacks(place, seen, must)
        ]
        for place in todo:
            wide[place] *= 4
    tails: Tails = {}
    for place, books in seen.items():
        tails.setdefault(place.topic, {}).update(books)
    return tails


def _lacks(place: TopicPartition, seen: Mapping[TopicPartition, dict[str, Any]], must: set[str]) -> bool:
    """Whether nothing was seen at a place, or a book of its partition only on other topics, though it must be here."""
    if not seen[place]:
        return True
    beside = [books for other, books in seen.items() if other.partition == place.partition]
    known = {book for books in beside for book in books if book}
    return place.topic in must and bool(known - seen[place].keys())


async def _read(
    reader: AIOKafkaConsumer, starts: Mapping[TopicPartition, int], ranges: Mapping[TopicPartition, Span]
) -> dict[TopicPartition, dict[str, list[Tail]]]:
    """The last records from `starts` to the ends; what an open transaction holds back is left out."""
    reader.assign(list(starts))
    for place, offset in starts.items():
        reader.seek(place, offset)
    tails: dict[TopicPartition, dict[str, list[Tail]]] = {place: {} for place in starts}
    quiet, at = 0, dict(starts)
    unread = list(starts)
    while unread and quiet < _QUIET_READS:
        batches = await reader.getmany(*unread, timeout_ms=_READ_MS)
        for place, records in batches.items():
            for record in records:
                book = (record.key or b"").decode(errors="replace")
                tail = tails[place].setdefault(book, [])
                tail.append(Tail(record.value or b"", record.timestamp / 1e3))
                del tail[:-KEPT]
        before, at = at, {place: await reader.position(place) for place in starts}
        quiet = 0 if at != before else quiet + 1
        unread = [place for place in starts if at[place] < ranges[place].stop]
    return tails
