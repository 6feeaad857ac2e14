"""Whatever is delivered, in whatever order and how often: what comes out is the log in order, each record once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_log import MemoryLog, MemoryReader

from windvane.infra.kafka.worker import inlet as inlets
from windvane.infra.kafka.worker.inlet import DeliveredInlet, Inlet
from windvane.streams.many_rows import Delivered

ONE, OTHER = TopicPartition("ticks", 0), TopicPartition("features", 0)
PLACES = (ONE, OTHER)


@dataclass
class FakeReader:
    """As aiokafka's consumer: what it knows of the end is from its last fetch, and a fetch may take several reads.

    log: of every place the offsets of records; they have holes where a transaction ended. slow: reads a fetch takes.
    """

    log: dict[TopicPartition, list[int]]
    end: dict[TopicPartition, int]
    slow: int = 0
    _at: dict[TopicPartition, int] = field(default_factory=dict)
    _paused: set[TopicPartition] = field(default_factory=set)
    _known: dict[TopicPartition, int] = field(default_factory=dict)
    _waits: dict[TopicPartition, int] = field(default_factory=dict)

    def assignment(self) -> set[TopicPartition]:
        return set(self.log)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._at[place] = offset
        self._waits[place] = self.slow  # what was being fetched is thrown away

    def pause(self, *places: TopicPartition) -> None:
        self._paused.update(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused.difference_update(places)

    async def position(self, place: TopicPartition) -> int:
        return self._at[place]

    def last_stable_offset(self, place: TopicPartition) -> int | None:
        return self._known.get(place)

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self.end[place] for place in places}

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, Sequence[Any]]:
        found: dict[TopicPartition, list[Any]] = {}
        for place in self.log:
            if place in self._paused:
                continue
            if self._waits.get(place, 0):
                self._waits[place] -= 1
                continue
            self._known[place] = self.end[place]
            some = [o for o in self.log[place] if o >= self._at[place]][:max_records]
            found[place] = [Fetched(o, b"%d" % o) for o in some]
            more = some and some[-1] < self.log[place][-1]
            self._at[place] = some[-1] + 1 if more else self.end[place]
        await asyncio.sleep(0)
        return {place: records for place, records in found.items() if records}


class Fetched(NamedTuple):
    """A record as aiokafka gives it."""

    offset: int
    value: bytes
    timestamp: int = 0  # ms
    headers: tuple[tuple[str, bytes], ...] = ()


class World:
    """A log that grows while an inlet reads it."""

    def __init__(self, slow: int) -> None:
        self.reader = FakeReader({p: [] for p in PLACES}, dict.fromkeys(PLACES, 0), slow)
        for place in PLACES:
            self.reader.seek(place, 0)
        self.inlet = DeliveredInlet(self.reader)
        self.out: dict[TopicPartition, list[int]] = {p: [] for p in PLACES}

    def append(self, place: TopicPartition, number: int, marker: bool) -> None:
        for _ in range(number):
            self.reader.log[place].append(self.reader.end[place])
            self.reader.end[place] += 1
        self.reader.end[place] += marker

    async def read(self) -> None:
        for place, records in (await self.inlet.read(0.001, 7)).items():
            assert all(r.value == b"%d" % r.offset for r in records)
            self.out[place] += [r.offset for r in records]

    def whole(self) -> bool:
        return all(len(self.out[p]) >= len(self.reader.log[p]) for p in PLACES)


_place = st.sampled_from(PLACES)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), _place, st.integers(1, 9), st.booleans()),
        st.tuples(st.just("deliver"), _place, st.integers(0, 60), st.integers(1, 9)),
        st.tuples(st.just("follow"), _place, st.integers(0, 9)),
        st.tuples(st.just("read")),
        st.tuples(st.just("throttle"), st.sets(_place)),
    ),
    max_size=60,
)


async def _play(steps: Sequence[tuple[Any, ...]], slow: int) -> World:
    world = World(slow)
    paused: set[TopicPartition] = set()
    told = dict.fromkeys(PLACES, 0)
    for step in steps:
        match step:
            case ("append", place, number, marker):
                world.append(place, number, marker)
            case ("deliver", place, start, number):  # any stretch of what there is, again or out of order
                for offset in world.reader.log[place][start : start + number]:
                    world.inlet.deliver(place, Delivered(offset, b"%d" % offset, 0))
            case ("follow", place, lost):  # what is new, but for some that are lost
                new = world.reader.log[place][told[place] :]
                told[place] += len(new)
                for offset in new[lost:]:
                    world.inlet.deliver(place, Delivered(offset, b"%d" % offset, 0))
            case ("read",):
                await world.read()
            case ("throttle", ahead):
                world.inlet.throttle(ahead, paused)
                paused = set(ahead)
    world.inlet.throttle((), paused)
    return world


async def _finish(world: World, most: int = 600) -> None:
    for _ in range(most):
        if world.whole():
            return
        await world.read()


@settings(max_examples=150, deadline=None)
@given(_steps, st.integers(0, 4))
def test_what_comes_out_is_the_log_in_order_each_once(steps: list[tuple[Any, ...]], slow: int) -> None:
    async def run() -> World:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inlets, "_LOOK_SECONDS", 0.0)
            patch.setattr(inlets, "_MOST_WAITING", 20)
            world = await _play(steps, slow)
            for place in PLACES:
                assert world.out[place] == world.reader.log[place][: len(world.out[place])]
            await _finish(world)
        return world

    world = asyncio.run(run())
    for place in PLACES:
        assert world.out[place] == world.reader.log[place]


@pytest.mark.parametrize("lost", [0, 1, 17])
def test_while_all_is_delivered_the_reader_rests(lost: int) -> None:
    async def run() -> tuple[World, int]:
        world = World(0)
        await world.read()
        await world.read()
        for start in range(0, 100, 5):
            world.append(ONE, 5, marker=False)
            for offset in range(start, start + 5):
                if offset != lost:
                    world.inlet.deliver(ONE, Delivered(offset, b"%d" % offset, 0))
            await world.read()
        reads = 0
        while not world.whole() and reads < 50:
            await world.read()
            reads += 1
        return world, reads

    world, _ = asyncio.run(run())
    assert world.out[ONE] == world.reader.log[ONE]
    assert world.reader._paused == set(PLACES)


def test_what_is_ahead_is_not_read_until_it_is_not() -> None:
    async def run() -> World:
        world = World(0)
        for _ in range(3):
            await world.read()
        world.append(ONE, 30, marker=False)
        world.append(OTHER, 3, marker=False)
        world.inlet.throttle({ONE}, ())
        for place in PLACES:
            for offset in world.reader.log[place]:
                world.inlet.deliver(place, Delivered(offset, b"%d" % offset, 0))
        for _ in range(10):
            await world.read()
        assert world.out[ONE] == []
        assert world.out[OTHER] == [0, 1, 2]
        world.inlet.throttle((), {ONE})
        await _finish(world)
        return world

    world = asyncio.run(run())
    assert world.out[ONE] == list(range(30))


def test_a_reader_that_knows_of_the_end_late_still_fills_a_hole() -> None:
    """The end it knew was passed long ago: to look at that alone would mean to rest before the hole was read."""

    async def run() -> World:
        world = World(5)
        for _ in range(10):
            await world.read()
        world.append(ONE, 10, marker=False)
        world.inlet.deliver(ONE, Delivered(9, b"9", 0))
        for _ in range(40):
            await world.read()
        return world

    assert asyncio.run(run()).out[ONE] == list(range(10))


class TestInlet:
    """Records straight from a reader."""

    def test_records_come_with_their_time_in_ns_and_how_many_are_left(self) -> None:
        async def scenario() -> None:
            log = MemoryLog()
            log.append(ONE, b"a", b"b", b"c", marker=True)
            log.records[ONE][0] = log.records[ONE][0]._replace(timestamp=1_700_000_000_123)
            reader = MemoryReader(log)
            reader.assign(PLACES)
            inlet = Inlet(reader)
            assert await inlet.behind(OTHER) is None, "nothing is known before the first answer"
            assert await inlet.read(0.0, 2) == {
                ONE: [Delivered(0, b"a", 1_700_000_000_123_000_000), Delivered(1, b"b", 0)]
            }
            assert await inlet.behind(ONE) == 2, "a record, and the marker behind it"
            assert await inlet.read(0.0, 2) == {ONE: [Delivered(2, b"c", 0)]}
            assert await inlet.behind(ONE) == 0

        asyncio.run(scenario())

    def test_what_has_run_ahead_rests_until_it_is_not_ahead(self) -> None:
        async def scenario() -> None:
            log = MemoryLog()
            for place in PLACES:
                log.append(place, b"a")
            reader = MemoryReader(log)
            reader.assign(PLACES)
            inlet = Inlet(reader)
            inlet.throttle({ONE}, ())
            assert set(await inlet.read(0.0, 9)) == {OTHER}
            inlet.throttle({ONE}, {ONE})
            assert await inlet.read(0.0, 9) == {}
            inlet.throttle((), {ONE})
            assert set(await inlet.read(0.0, 9)) == {ONE}

        asyncio.run(scenario())
