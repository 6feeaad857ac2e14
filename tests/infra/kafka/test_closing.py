"""The Closer of a partition: it closes rounds that are late, once what had been answered in time is read."""

import asyncio
from asyncio import run
from functools import cache

from aiokafka import TopicPartition
from memory_log import MemoryLog, MemoryReader

from simulated_book import Recorded, config, opening, plain_run, ticks
from windvane.infra.kafka.worker.closing import Closer
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import Decisions
from windvane.streams.topics import FEATURES, PROPOSALS, Topic
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

MS = 1_000_000
ROWS = 12
PLACE = TopicPartition("p.proposals", 0)
ENSEMBLE = next(stage for stage in TOPOLOGY if stage.name == "ensemble")


@cache
def seen() -> Recorded:
    """What an embedded run of a timed book had on its topics."""
    return plain_run([opening(config(closing="timed", round_timeout=500 * MS)), ticks(ROWS)])


class Partition:
    """The ensemble's worker of one timed book, a closer, and a clock that the test turns."""

    def __init__(self, joins: bool = True) -> None:
        self.now = 0
        self.log = MemoryLog()
        self.log.append(PLACE, b"")  # so that there is a first record
        self.reader = MemoryReader(self.log)
        self.worker = StageWorker(ENSEMBLE, "here")
        self.closer = Closer(self.worker, self.reader, PLACE if joins else None, clock=lambda: self.now * MS)
        self.decided: list[Decisions] = []

    def receive(self, topic: Topic) -> None:
        for offset, event in enumerate(e for t, e in seen() if t is topic):
            self.worker.receive(topic, offset, to_json(event))

    def turn(self, read: int) -> int:
        """One turn of a partition's loop at the time `now`; returns how many rows are decided after it."""
        run(self.closer.close_due(read))
        events = [from_json(record.raw) for record in self.worker.step() if b'"Decisions"' in record.raw[:40]]
        self.decided += [event for event in events if isinstance(event, Decisions)]
        return sum(len(event) for event in self.decided)


class TestCloser:
    def test_while_no_round_is_open_nothing_is_asked_and_the_wait_is_the_usual_one(self) -> None:
        partition = Partition()
        assert partition.turn(read=0) == 0
        assert partition.closer.seconds_left(0.25) == 0.25
        assert partition.reader.asked == 0

    def test_an_open_round_shortens_the_wait_to_a_quarter_of_its_timeout(self) -> None:
        partition = Partition()
        partition.receive(FEATURES)
        partition.turn(read=0)
        partition.turn(read=0)
        assert partition.closer.seconds_left(0.25) == 0.125
        assert partition.closer.seconds_left(0.01) == 0.01
        assert partition.reader.asked == 0, "no round is late yet"

    def test_a_late_round_is_closed_once_the_proposals_are_read_to_the_end_that_was_looked_up(self) -> None:
        partition = Partition()
        partition.log.append(PLACE, *[b""] * 6)
        partition.receive(FEATURES)
        partition.turn(read=0)
        partition.turn(read=0)
        partition.now = 499
        assert partition.turn(read=7) == 0
        partition.now = 501
        assert partition.turn(read=6) == 0, "one record of the proposals is not read yet"
        assert partition.reader.asked == 1
        partition.log.append(PLACE, b"")  # what comes after it was late puts nothing off
        assert partition.turn(read=7) == ROWS
        awake = partition.decided[0].awake
        assert awake is not None
        assert not awake.any()
        assert partition.reader.asked == 1

    def test_no_turn_waits_for_an_answer_and_one_is_for_all_that_was_late_when_it_was_asked_for(self) -> None:
        async def scenario() -> None:
            partition = Partition()
            answers: list[asyncio.Future[int]] = []

            async def slow() -> int:
                answers.append(asyncio.get_running_loop().create_future())
                return await answers[-1]

            partition.closer._end = slow  # type: ignore[method-assign]
            partition.receive(FEATURES)
            for now in (0, 0, 501, 520):
                partition.now = now
                before = asyncio.get_running_loop().time()
                await partition.closer.close_due(0)
                assert asyncio.get_running_loop().time() - before < 0.2
                assert not partition.worker.step()
            assert len(answers) == 1, "an answer is on its way"
            answers[0].set_result(3)
            await asyncio.sleep(0)
            await partition.closer.close_due(2)
            assert not partition.worker.step(), "a record of the proposals is not read yet"
            await partition.closer.close_due(3)
            assert partition.worker.step()
            await partition.closer.stop()

        run(scenario())

    def test_a_question_that_is_not_answered_ends_with_the_partition(self) -> None:
        async def scenario() -> None:
            partition = Partition()

            async def never() -> int:
                return await asyncio.get_running_loop().create_future()

            partition.closer._end = never  # type: ignore[method-assign]
            partition.receive(FEATURES)
            for partition.now in (0, 501):
                await partition.closer.close_due(0)
            await partition.closer.stop()
            assert len(asyncio.all_tasks()) == 1

        run(scenario())

    def test_a_round_that_is_answered_in_time_is_closed_by_its_answers(self) -> None:
        partition = Partition()
        partition.receive(FEATURES)
        partition.turn(read=0)
        partition.receive(PROPOSALS)
        assert partition.turn(read=1) == ROWS
        partition.now = 10_000
        partition.turn(read=1)
        assert partition.reader.asked == 0
        assert partition.closer.seconds_left(0.25) == 0.25

    def test_where_nothing_is_left_of_the_proposals_nobody_waits_for_them_to_be_read(self) -> None:
        partition = Partition()
        partition.log.expire(PLACE, 1)
        partition.receive(FEATURES)
        partition.turn(read=0)
        partition.turn(read=0)
        partition.now = 501
        assert partition.turn(read=0) == ROWS

    def test_a_stage_that_joins_nothing_closes_nothing(self) -> None:
        partition = Partition(joins=False)
        partition.receive(FEATURES)
        for partition.now in (0, 1, 10_000):
            assert partition.turn(read=10) == 0
        assert partition.closer.seconds_left(0.25) == 0.25
