"""Where a partition's records come from: its own reader, or a group's deliveries, completed by the reader."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

_MOST_WAITING = 4096
_LOOK_SECONDS = 2.0
MS = 1_000_000
"""A broker's times are in ms."""


class Delivered(NamedTuple):
    """A record as far as a stage needs it."""

    offset: int
    value: bytes | None
    received: int  # broker's time, UNIX ns


class Inlet:
    """Records straight from a reader that is assigned and has been sought to where the state ends."""

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        self.reader = reader

    async def read(self, wait: float, most: int) -> Mapping[TopicPartition, Sequence[Delivered]]:
        """What has come, of each place in order and without a gap; waits at most `wait` seconds for it."""
        found = await self.reader.getmany(timeout_ms=int(wait * 1000), max_records=most)
        return {
            place: [Delivered(r.offset, r.value, r.timestamp * MS) for r in records]
            for place, records in found.items()
        }

    async def behind(self, place: TopicPartition) -> int | None:
        """Committed records between what was read and what is known to be there; None before anything is known."""
        end = self.reader.last_stable_offset(place)
        return None if end is None else max(0, end - await self.reader.position(place))

    def throttle(self, ahead: Iterable[TopicPartition], paused: Iterable[TopicPartition]) -> None:
        """Stop reading what has run ahead, go on with what was paused and is not ahead any more."""
        ahead, paused = set(ahead), set(paused)
        self.reader.resume(*(paused - ahead))
        self.reader.pause(*(ahead - paused))


class DeliveredInlet(Inlet):
    """Records that somebody else's consumer delivers.

    Whatever was delivered, in which order and how often: a record is taken only where it is the next one. What was
    not delivered is read by the reader, which rests while deliveries follow each other.
    """

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        super().__init__(reader)
        places = reader.assignment()
        self._upto = dict.fromkeys(
            places, 0
        )  # where the reader reads: so far at least, and to the end it knows
        self._next: dict[TopicPartition, int] = {}
        self._waiting: dict[TopicPartition, deque[Delivered]] = {p: deque() for p in places}
        self._missed: dict[TopicPartition, int] = {}  # end of what was left for the reader
        self._ahead: set[TopicPartition] = set()
        self._arrived = asyncio.Event()
        self._looked = time.monotonic()
        self._seen: dict[TopicPartition, int] = {}  # where each was when last looked

    def deliver(self, place: TopicPartition, record: Delivered) -> None:
        """Take a record; beyond a bound it is left for the reader."""
        waiting = self._waiting.get(place)
        if waiting is None:
            return
        if len(waiting) < _MOST_WAITING:
            waiting.append(record)
            self._arrived.set()
        else:
            self._missed[place] = max(self._missed.get(place, 0), record.offset + 1)

    async def read(self, wait: float, most: int) -> Mapping[TopicPartition, Sequence[Delivered]]:
        """As of a reader, but from deliveries once those follow what was read."""
        found: dict[TopicPartition, Sequence[Delivered]] = {}
        await self._look()
        reading = self._upto.keys() - self._ahead
        if reading:
            found.update(await super().read(min(wait, 0.05), most))
            for place in reading:
                at = await self.reader.position(place)
                if at >= self._upto[place] and await super().behind(place) == 0:
                    self._next[place] = at
                    del self._upto[place]
                    self.reader.pause(place)
        elif not any(self._waiting[p] for p in self._waiting.keys() - self._ahead):
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), wait)
            except TimeoutError:
                return found
        for place in self._waiting.keys() - self._ahead - self._upto.keys():
            taken = self._take(place, most)
            if taken:
                found[place] = [*found.get(place, ()), *taken]
        return found

    def _take(self, place: TopicPartition, most: int) -> list[Delivered]:
        waiting = self._waiting[place]
        taken: list[Delivered] = []
        while waiting and len(taken) < most:
            offset = waiting[0].offset
            if offset > self._next[place]:  # something between was not delivered
                self._read_on(place, offset)
                return taken
            record = waiting.popleft()
            if offset == self._next[place]:
                taken.append(record)
                self._next[place] += 1
        if not waiting:
            self._read_on(place, self._missed.pop(place, 0))
        return taken

    def _read_on(self, place: TopicPartition, upto: int) -> None:
        """Let the reader read from the next record on, at least up to an offset."""
        if upto > self._next[place]:
            self.reader.seek(place, self._next[place])
            self.reader.resume(place)
            self._upto[place] = upto

    async def _look(self) -> None:
        """Where nothing was delivered for a while, ask whether there is something."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        still = [
            place
            for place, at in self._next.items()
            if self._seen.get(place) == at and not self._waiting[place]
        ]
        for place, end in (await self.reader.end_offsets(still) if still else {}).items():
            if place not in self._ahead and place not in self._upto and not self._waiting[place]:
                self._read_on(place, end)
        self._looked, self._seen = time.monotonic(), dict(self._next)

    async def behind(self, place: TopicPartition) -> int | None:
        """Records not taken yet, as far as is known here."""
        if place in self._upto:
            return await super().behind(place)
        return len(self._waiting[place])

    def throttle(self, ahead: Iterable[TopicPartition], paused: Iterable[TopicPartition]) -> None:
        """The reader is paused only where it reads; deliveries wait."""
        self._ahead = set(ahead)
        super().throttle((p for p in self._ahead if p in self._upto), (p for p in paused if p in self._upto))
