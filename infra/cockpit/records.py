"""Records of topics as events for a timeline: orders and fills are single lines there, all else are events."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import msgspec
from aiokafka.structs import ConsumerRecord

from windvane.streams.codec import WireError, from_json
from windvane.streams.events import Event
from windvane.streams.records import Fill, Order, fills_of, orders_of
from windvane.streams.topics import FILLS, ORDERS

_orders, _fills = msgspec.json.Decoder(Order), msgspec.json.Decoder(Fill)
T = TypeVar("T", Order, Fill)


def events_of(topic: str, records: Sequence[ConsumerRecord]) -> Iterator[tuple[Event, float]]:
    """Yield the events in records of a topic, which is named without prefix, and when each was written, UNIX s.

    What cannot be read is passed over: those who work on it make dead letters.
    """
    if topic in (ORDERS.name, FILLS.name):
        at = records[-1].timestamp / 1e3 if records else 0.0
        if topic == ORDERS.name:
            yield from ((orders_of(lines), at) for lines in _by_book(_orders, records))
        else:
            yield from ((fills_of(lines), at) for lines in _by_book(_fills, records))
        return
    for record in records:
        try:
            event = from_json(record.value or b"")
        except WireError:
            continue
        yield event, record.timestamp / 1e3


def _by_book(decoder: msgspec.json.Decoder[T], records: Sequence[ConsumerRecord]) -> Iterator[list[T]]:
    """The lines of each book that follow each other."""
    lines: list[T] = []
    for record in records:
        try:
            lines.append(decoder.decode(record.value or b""))
        except msgspec.DecodeError:
            continue
    return (list(group) for _, group in groupby(lines, _book_of))


def _book_of(line: Order | Fill) -> str:
    return line.book
