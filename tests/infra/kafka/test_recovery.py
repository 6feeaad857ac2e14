"""Recovery: what was committed is followed to the end that was looked up, and a log with a gap is refused."""

from asyncio import run
from functools import cache

import pytest
from aiokafka import TopicPartition
from memory_log import MemoryLog, MemoryReader

from simulated_book import Recorded, config, opening, plain_run, ticks
from windvane.agents.kernel import this_program
from windvane.infra.kafka.worker.recovery import check_handover, follow, refuse_gaps
from windvane.streams.codec import cuts, to_json
from windvane.streams.stage import StateError
from windvane.streams.topics import FEATURES, LEARNER, PROPOSALS, Topic
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import Record, StageWorker

ONE, OTHER = TopicPartition("p.decisions", 0), TopicPartition("p.orders", 0)
STAGES = {stage.name: stage for stage in TOPOLOGY}


@cache
def seen() -> Recorded:
    """What an embedded run of a book had on its topics."""
    return plain_run([opening(config()), ticks(1300)])


class TestRefuseGaps:
    def test_a_state_that_the_log_still_holds_goes_on(self) -> None:
        refuse_gaps({ONE: 3, OTHER: 0}, {ONE: 9, OTHER: 0}, {ONE: 3, OTHER: 0})
        refuse_gaps({ONE: 3}, {ONE: 9}, {ONE: 9})

    def test_records_that_were_deleted_since_the_state_are_a_gap(self) -> None:
        with pytest.raises(
            StateError, match=r"p\.decisions begins at offset 4, the stored state needs 3: .*"
        ):
            refuse_gaps({OTHER: 0, ONE: 4}, {OTHER: 5, ONE: 9}, {OTHER: 5, ONE: 3})

    def test_a_log_that_ends_before_the_state_was_made_anew(self) -> None:
        with pytest.raises(
            StateError, match=r"p\.orders ends at offset 2, the stored state is at 3: .* anew"
        ):
            refuse_gaps({OTHER: 0}, {OTHER: 2}, {OTHER: 3})


def received(name: str, upto: int | None = None, **how: object) -> StageWorker:
    """A worker of a stage that has received what an embedded run had on its sources, up to so many records."""
    worker = StageWorker(STAGES[name], "here", **how)  # type: ignore[arg-type]
    feed(worker, upto)
    return worker


def feed(worker: StageWorker, upto: int | None = None) -> None:
    sources = (FEATURES, PROPOSALS, LEARNER) if worker.stage.name == "ensemble" else (FEATURES,)
    for topic in sources:
        raws = [to_json(piece) for t, e in seen() if t is topic for piece in cuts(e)]
        for offset, raw in enumerate(raws[:upto]):
            worker.receive(topic, offset, raw)


def written(worker: StageWorker, log: MemoryLog, records: list[Record]) -> dict[TopicPartition, Topic]:
    """Records on their topics, a transaction each; returns where the stage writes."""
    for record in records:
        log.append(TopicPartition(f"p.{record.topic.name}", 0), record.raw, marker=True)
    return {TopicPartition(f"p.{topic.name}", 0): topic for topic in worker.stage.emits}


class TestFollow:
    def test_what_was_committed_is_computed_again_and_not_sent_again(self) -> None:
        first, log = received("ensemble"), MemoryLog()
        records = first.step()
        assert {r.topic.name for r in records} >= {"decisions", "orders", "statements"}
        places = written(first, log, records)
        begin, ends = dict.fromkeys(places, 0), {place: log.ends.get(place, 0) for place in places}
        log.append(ONE, b"of another worker, after the ends were looked up")
        again, strikes = StageWorker(STAGES["ensemble"], "here"), list[str]()
        run(follow(MemoryReader(log), again, places, begin, ends, strikes.append))
        assert set(strikes) == {"recovering"}
        feed(again)
        assert again.step() == []

    def test_a_log_that_lost_what_the_state_goes_on_from_is_refused_before_anything_is_read(self) -> None:
        worker, log = received("ensemble"), MemoryLog()
        places = written(worker, log, worker.step())
        state = worker.save({topic.name: log.ends.get(place, 0) for place, topic in places.items()})
        begin, ends = dict.fromkeys(places, 0), {place: log.ends.get(place, 0) for place in places}
        ends[ONE] -= 1
        again = StageWorker(STAGES["ensemble"], "here", state)
        reader = MemoryReader(log)
        with pytest.raises(StateError, match="the topic was made anew"):
            run(follow(reader, again, places, begin, ends, lambda point: None))
        assert reader.assignment() == set()


class TestCheckHandover:
    """A stage that need not know what it wrote, after another program stored its state."""

    def handed_over(self, log: MemoryLog, *, clean: bool) -> tuple[StageWorker, dict[TopicPartition, Topic]]:
        other = this_program()._replace(code="another")
        before = received("proposals", program=other)
        records = before.step()
        places = written(before, log, records)
        ends = {topic.name: log.ends.get(place, 0) for place, topic in places.items()}
        if not clean:  # it was killed between publishing a step and storing the state that follows from it
            before, ends = StageWorker(STAGES["proposals"], "here", program=other), {}
        return StageWorker(STAGES["proposals"], "here", before.save(ends)), places

    def check(self, worker: StageWorker, log: MemoryLog, places: dict[TopicPartition, Topic]) -> None:
        ends = {place: log.ends.get(place, 0) for place in places}
        begin = dict.fromkeys(places, 0)
        run(check_handover(MemoryReader(log), worker, places, begin, ends, lambda point: None))

    def test_a_clean_stop_is_gone_on_from(self) -> None:
        log = MemoryLog()
        worker, places = self.handed_over(log, clean=True)
        assert worker.handed_over is not None
        self.check(worker, log, places)

    def test_rows_that_were_published_and_are_not_in_the_state_are_refused(self) -> None:
        log = MemoryLog()
        worker, places = self.handed_over(log, clean=False)
        with pytest.raises(StateError):
            self.check(worker, log, places)

    def test_what_the_log_does_not_hold_any_more_is_no_gap(self) -> None:
        log = MemoryLog()
        worker, places = self.handed_over(log, clean=False)
        place = next(p for p, t in places.items() if t is PROPOSALS)
        ends = {p: log.ends.get(p, 0) for p in places}
        log.expire(place, ends[place])
        first = {p: log.first.get(p, 0) for p in places}
        run(check_handover(MemoryReader(log), worker, places, first, ends, lambda point: None))
