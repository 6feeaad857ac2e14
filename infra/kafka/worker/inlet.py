"""Where a partition's records come from: its own reader, or a group's deliveries, whose gaps the reader fills."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.agent_keys import signature_of
from windvane.streams.many_rows import Delivered

_MOST_WAITING = 4096
_LOOK_SECONDS = 2.0
MS = 1_000_000
"""Nanoseconds of a millisecond, in which a broker gives its times."""


class Inlet:
    """Records straight from a reader that is assigned and stands where the state ends.

    A partition's loop calls `read` once a turn, `throttle` where a source runs ahead of the others, and `behind` when
    it reports or wants to know whether it has caught up.
    """

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        self.reader = reader

    async def read(self, wait: float, most: int) -> Mapping[TopicPartition, Sequence[Delivered]]:
        """What has come within `wait` seconds, of each place in order and without a gap, `most` records at most."""
        batches = await self.reader.getmany(timeout_ms=int(wait * 1000), max_records=most)
        return {
            place: [Delivered(r.offset, r.value, r.timestamp * MS, signature_of(r.headers)) for r in records]
            for place, records in batches.items()
        }

    async def behind(self, place: TopicPartition) -> int | None:
        """How many committed records are known and not read yet; None before the reader has heard of any."""
        end = self.reader.last_stable_offset(place)
        return None if end is None else max(0, end - await self.reader.position(place))

    def throttle(self, ahead: Iterable[TopicPartition], paused: Iterable[TopicPartition]) -> None:
        """Pause the places that have run ahead, and go on with those that were paused and are not ahead any more."""
        ahead, paused = set(ahead), set(paused)
        self.reader.resume(*(paused - ahead))
        self.reader.pause(*(ahead - paused))


class DeliveredInlet(Inlet):
    """Records that the consumer of a framework delivers, in whatever order and however often.

    A delivered record is used only where it is the next one of its place. Records that were not delivered are read by
    the reader, which is paused as long as each delivery follows the one before.
    """

    def __init__(self, reader: AIOKafkaConsumer) -> None:
        super().__init__(reader)
        places = reader.assignment()
        self._upto = dict.fromkeys(
            places, 0
        )  # places that the reader reads: to this offset, and to their ends
        self._next: dict[TopicPartition, int] = {}
        self._waiting: dict[TopicPartition, deque[Delivered]] = {p: deque() for p in places}
        self._missed: dict[TopicPartition, int] = {}  # the offset after the last delivery that found no room
        self._ahead: set[TopicPartition] = set()
        self._arrived = asyncio.Event()
        self._looked = time.monotonic()
        self._seen: dict[TopicPartition, int] = {}  # the next offset of each place when it was last looked at

    def deliver(self, place: TopicPartition, record: Delivered) -> None:
        """Keep a record for `read`; the framework calls it for each. Where too many wait, the reader reads it."""
        waiting = self._waiting.get(place)
        if waiting is None:
            return
        if len(waiting) < _MOST_WAITING:
            waiting.append(record)
            self._arrived.set()
        else:
            self._missed[place] = max(self._missed.get(place, 0), record.offset + 1)

    async def read(self, wait: float, most: int) -> Mapping[TopicPartition, Sequence[Delivered]]:
        """As a plain inlet does; a place comes from deliveries once the reader has come to where they begin."""
        batches: dict[TopicPartition, Sequence[Delivered]] = {}
        await self._look()
        reading = self._upto.keys() - self._ahead
        if reading:
            batches.update(await super().read(min(wait, 0.05), most))
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
                return batches
        for place in self._waiting.keys() - self._ahead - self._upto.keys():
            following = self._pop(place, most)
            if following:
                batches[place] = [*batches.get(place, ()), *following]
        return batches

    def _pop(self, place: TopicPartition, most: int) -> list[Delivered]:
        """The deliveries that follow what was read; where one is missing, the reader is sent for it."""
        waiting = self._waiting[place]
        following: list[Delivered] = []
        while waiting and len(following) < most:
            offset = waiting[0].offset
            if offset > self._next[place]:  # a record before it was not delivered
                self._read_on(place, offset)
                return following
            record = waiting.popleft()
            if offset == self._next[place]:
                following.append(record)
                self._next[place] += 1
        if not waiting:
            self._read_on(place, self._missed.pop(place, 0))
        return following

    def _read_on(self, place: TopicPartition, upto: int) -> None:
        """Let the reader read a place from its next record on, at least up to an offset."""
        if upto > self._next[place]:
            self.reader.seek(place, self._next[place])
            self.reader.resume(place)
            self._upto[place] = upto

    async def _look(self) -> None:
        """Where nothing was delivered for a while, ask the broker for the end, and read on where there is more."""
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
        """How many records are known and not read yet; while deliveries follow each other, those that wait."""
        if place in self._upto:
            return await super().behind(place)
        return len(self._waiting[place])

    def throttle(self, ahead: Iterable[TopicPartition], paused: Iterable[TopicPartition]) -> None:
        """Pause what the reader reads of the places that are ahead; what is delivered of them waits."""
        self._ahead = set(ahead)
        super().throttle((p for p in self._ahead if p in self._upto), (p for p in paused if p in self._upto))
