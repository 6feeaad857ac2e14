"""What every runner of the topology must do; a new one joins by a subclass of RunnerContract."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import pytest

from contracted import RESULTS, batches, book, contiguous, reference, until
from simulated_book import Recorded, outputs, same
from windvane.streams import topics
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Batch, BookClosed, BookOpened, Decisions, Event, Ticks, cut
from windvane.streams.topics import Topic


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
        events, orders = book()
        runner.feed(events[:1])
        runner.control(orders)
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
