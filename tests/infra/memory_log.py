"""A log in memory, and a reader of it with those methods of aiokafka's consumer that the worker's parts call."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import TopicPartition


class Stored(NamedTuple):
    """A record as aiokafka's consumer returns it."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = 0  # ms
    headers: tuple[tuple[str, bytes], ...] = ()


class MemoryLog:
    """Partitions by name; an offset without a record is one that the marker of a transaction took."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[Stored]] = {}
        self.first: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}

    def append(self, place: TopicPartition, *values: bytes | None, marker: bool = False) -> None:
        """Write records, and behind them the marker of their transaction."""
        for value in values:
            self.records.setdefault(place, []).append(Stored(self.ends.get(place, 0), value))
            self.ends[place] = self.ends.get(place, 0) + 1
        self.ends[place] = self.ends.get(place, 0) + marker

    def expire(self, place: TopicPartition, first: int) -> None:
        """Drop what lies before an offset, as a retention time does."""
        self.first[place] = first
        self.records[place] = [r for r in self.records[place] if r.offset >= first]


class MemoryReader:
    """As an aiokafka consumer without a group; `asked` counts how often it was asked for ends."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.asked = 0
        self._at: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def assign(self, places: Iterable[TopicPartition]) -> None:
        self._at = dict.fromkeys(places, 0)

    def assignment(self) -> set[TopicPartition]:
        return set(self._at)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._at[place] = offset

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    async def position(self, place: TopicPartition) -> int:
        return self._at[place]

    def last_stable_offset(self, place: TopicPartition) -> int | None:
        return self.log.ends.get(place)

    async def beginning_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self.log.first.get(place, 0) for place in places}

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        return {place: self.log.ends.get(place, 0) for place in places}

    async def getmany(
        self, *places: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> Mapping[TopicPartition, Sequence[Stored]]:
        """Records of one place in order; a read that ends behind the last one also passes the marker behind it."""
        await asyncio.sleep(0)
        batches: dict[TopicPartition, Sequence[Stored]] = {}
        for place in places or self._at:
            if place in self._paused:
                continue
            after = [r for r in self.log.records.get(place, ()) if r.offset >= self._at[place]]
            batch = after[:max_records]
            self._at[place] = self.log.ends.get(place, 0) if batch == after else batch[-1].offset + 1
            if batch:
                batches[place] = batch
        return batches
