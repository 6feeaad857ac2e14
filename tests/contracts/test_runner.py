"""What every runner of the topology must do; a new one joins by a subclass of RunnerContract."""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import pytest

from contracted import RESULTS, batches, book, contiguous, events_of, reference, until
from simulated_book import Recorded, outputs, same
from windvane.streams import topics
from windvane.streams.codec import cuts, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Batch, BookClosed, BookOpened, Decisions, Event, Model, Ticks, cut
from windvane.streams.testing.faults import Log
from windvane.streams.topics import CONTROL, MODELS, TICKS, Topic
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import Record, StageWorker


class Runner(Protocol):
    """What the contract asks of a runner; `listener` is told of every event on every topic."""

    def feed(self, events: Sequence[Event]) -> None: ...
    def control(self, events: Sequence[Event]) -> None: ...
    def snapshot(self) -> bytes: ...


Listener = Callable[[Topic, Event], None]


class RunnerContract:
    """Subclass it and say how a runner is made."""

    def make(self, listener: Listener, snapshot: bytes | None = None) -> Runner:
        raise NotImplementedError

    def opened(self, seen: Recorded) -> Runner:
        """A runner whose book is open and whose controls are there."""
        runner = self.make(lambda topic, event: seen.append((topic, event)))
        events, controls = book()
        runner.feed(events[:1])
        runner.control(controls)
        return runner

    @pytest.mark.parametrize("rows", [1, 7, 4096])
    def test_batches_do_not_matter(self, rows: int) -> None:
        seen: Recorded = []
        runner = self.opened(seen)
        for event in batches(rows):
            runner.feed([event])
        same(outputs(seen, *RESULTS), outputs(reference(), *RESULTS))

    def test_every_row_has_exactly_one_row_everywhere(self) -> None:
        seen: Recorded = []
        self.opened(seen).feed(batches(50))
        (last,) = {e.last for t, e in seen if isinstance(e, BookClosed)}
        for topic in (topics.FEATURES, topics.PROPOSALS, topics.DECISIONS):
            seqs = [e.seq for t, e in seen if t.name == topic.name and isinstance(e, Batch)]
            assert np.array_equal(np.sort(np.concatenate(seqs)), np.arange(last + 1)), topic.name

    def test_what_is_emitted_lies_on_the_topic_that_carries_it(self) -> None:
        seen: Recorded = []
        self.opened(seen).feed(batches(400))
        assert {t.name for t, _ in seen} == {t.name for t in topics.TOPICS}
        assert all(type(event) in topic.carries for topic, event in seen)
        opened = [t.name for t, e in seen if isinstance(e, BookOpened)]
        assert opened == ["ticks", "features"]

    @pytest.mark.parametrize("upto", [1, 513, 600, 805, 1111])
    def test_the_future_changes_no_past_decision(self, upto: int) -> None:
        seen: Recorded = []
        runner = self.opened(seen)
        left = upto
        for event in batches(4096):
            if isinstance(event, Ticks) and left > 0:
                runner.feed([cut(event, 0, left)])
                left -= len(event)
        last = max(e.last for _, e in seen if isinstance(e, Decisions))
        past = [(t, until(e, last)) for t, e in reference() if not isinstance(e, Batch) or e.first <= last]
        kinds = (topics.FEATURES, topics.PROPOSALS, topics.DECISIONS, topics.ORDERS, topics.FILLS)
        got = [(t, e) for t, e in seen if isinstance(e, Batch)]
        same(outputs(got, *kinds), outputs([(t, e) for t, e in past if isinstance(e, Batch)], *kinds))

    @pytest.mark.parametrize("seed", range(4))
    def test_interrupted_and_gone_on_with_is_as_if_never_interrupted(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        seen: Recorded = []
        runner = self.opened(seen)
        events = batches(int(rng.choice([5, 31, 64])))
        stops = set(rng.choice(np.arange(1, len(events) - 2), 6, replace=False).tolist())
        for place, event in enumerate(events):
            whole = place < len(events) - 2  # rows held past a missing one are sent again, not saved
            if place in stops and whole and contiguous(events, place):
                state, told = runner.snapshot(), len(seen)
                runner.feed([event])  # what a crash loses
                del seen[told:]
                runner = self.make(lambda topic, event: seen.append((topic, event)), state)
            runner.feed([event])
        same(outputs(seen, *RESULTS), outputs(reference(), *RESULTS))

    @pytest.mark.parametrize("rows", [3, 40])
    def test_gone_on_with_after_every_batch_is_as_if_never_interrupted(self, rows: int) -> None:
        seen: Recorded = []
        runner = self.opened(seen)
        events = batches(rows)
        for place, event in enumerate(events):
            if contiguous(events, place):
                runner = self.make(lambda topic, event: seen.append((topic, event)), runner.snapshot())
            runner.feed([event])
        same(outputs(seen, *RESULTS), outputs(reference(), *RESULTS))

    def test_a_snapshot_says_the_same_whatever_came_before_it(self) -> None:
        first: Recorded = []
        one, other = self.opened(first), self.opened([])
        for event in batches(40)[:12]:
            one.feed([event])
        for event in batches(240)[:2]:
            other.feed([event])
        assert one.snapshot() == other.snapshot()
        assert self.make(lambda topic, event: None, one.snapshot()).snapshot() == one.snapshot()


class TestEmbedded(RunnerContract):
    def make(self, listener: Listener, snapshot: bytes | None = None) -> Runner:
        return EmbeddedRunner(listener, snapshot=snapshot)


class TestEmbeddedOverTheWire(RunnerContract):
    def make(self, listener: Listener, snapshot: bytes | None = None) -> Runner:
        return EmbeddedRunner(listener, wire=True, snapshot=snapshot)


class LogRunner:
    """Workers on a log in memory: what a real broker adds is read, sent and stored here as there, but at once."""

    def __init__(self, listener: Listener, snapshot: bytes | None) -> None:
        self._listener = listener
        self._log = Log()
        saved = None if snapshot is None else msgspec.json.decode(snapshot, type=_Saved)
        for name, records in ({} if saved is None else saved.log).items():
            for raw in records:
                self._log.append(name, raw)
        states = {} if saved is None else saved.states
        self.workers = {s.name: StageWorker(s, "here", states.get(s.name)) for s in TOPOLOGY}

    def feed(self, events: Sequence[Event]) -> None:
        self._put(TICKS, events)

    def control(self, events: Sequence[Event]) -> None:
        for event in events:
            self._put(MODELS if isinstance(event, Model) else CONTROL, [event])

    def snapshot(self) -> bytes:
        ends = {topic.name: self._log.end(topic.name) for topic in topics.TOPICS}
        return msgspec.json.encode(
            _Saved(
                states={name: worker.save(ends) for name, worker in self.workers.items()},
                log={topic.name: list(self._log.raws(topic)) for topic in topics.TOPICS},
            )
        )

    def _put(self, topic: Topic, events: Sequence[Event]) -> None:
        for event in events:
            self._write(topic, [to_json(piece) for piece in cuts(event)])
        while sum(map(self._step, self.workers.values())):
            pass

    def _step(self, worker: StageWorker) -> bool:
        """Read a few records of every source that is not paused; whether there were any."""
        ahead, some = worker.ahead(), False
        for topic in worker.stage.reads:
            if topic.name not in ahead:
                for record in self._log.read(topic.name, worker.positions[topic.name], 16):
                    worker.receive(topic, record.offset, record.raw)
                    some = True
        made: dict[Topic, list[Record]] = {}
        for record in worker.step():
            made.setdefault(record.topic, []).append(record)
        for topic, records in made.items():
            self._write(topic, [record.raw for record in records])
        return some

    def _write(self, topic: Topic, raws: Sequence[bytes]) -> None:
        for raw in raws:
            self._log.append(topic.name, raw)
        for event in events_of(topic, raws):
            self._listener(topic, event)


class _Saved(msgspec.Struct):
    states: dict[str, bytes]
    log: dict[str, list[bytes]]


class TestWorkersOnALog(RunnerContract):
    """A worker of a real broker is the same StageWorker: tests/kafka/test_contract.py tells the same of it."""

    def make(self, listener: Listener, snapshot: bytes | None = None) -> Runner:
        return LogRunner(listener, snapshot)

    def test_a_snapshot_says_the_same_whatever_came_before_it(self) -> None:
        """Of the stages; offsets are those of the records, which were cut in another way."""
        one, other = LogRunner(lambda topic, event: None, None), LogRunner(lambda topic, event: None, None)
        for runner, (rows, stop) in ((one, (40, 12)), (other, (240, 2))):
            runner.feed(book()[0][:1])
            runner.control(book()[1])
            runner.feed(batches(rows)[:stop])
        for name, worker in one.workers.items():
            assert worker.logic.snapshot() == other.workers[name].logic.snapshot()
        again = LogRunner(lambda topic, event: None, one.snapshot())
        assert again.snapshot() == one.snapshot()
