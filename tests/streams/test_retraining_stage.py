"""The feedback stage alone and on a partition: what it asks for, what it believes, and what a crash does to it."""

from collections.abc import Sequence

import msgspec
import numpy as np

from retrained_book import EVERY, ROWS, VERSIONS, FakeTrainer, cuts, events, inputs, reference, run, updates
from windvane.metamodel.base import weights
from windvane.streams import topics
from windvane.streams.codec import to_json
from windvane.streams.events import (
    BookClosed,
    Event,
    LearnerUpdate,
    TrainRequest,
    TrainResult,
)
from windvane.streams.feedback_stage import FeedbackStage
from windvane.streams.retraining import MOST_WAITING, weights_of
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker


class TestFeedback:
    """The stage alone, with a trainer that takes its time."""

    def requests(self, made: Sequence[Event]) -> list[TrainRequest]:
        return [e for e in made if isinstance(e, TrainRequest)]

    def test_it_goes_on_while_one_is_trained_and_asks_for_one_at_a_time(self) -> None:
        stage = FeedbackStage(None)
        made = stage.step(inputs())
        (request,) = self.requests(made)
        assert request.version == 1
        assert stage.progress("book").next_seq == MOST_WAITING * EVERY
        assert not [e for e in made if isinstance(e, LearnerUpdate)]
        after = stage.step([FakeTrainer().train(request)])
        assert [(type(e).__name__, getattr(e, "version", 0)) for e in after] == [
            ("LearnerUpdate", 1),
            ("TrainRequest", 2),
        ]
        assert stage.progress("book").next_seq == (MOST_WAITING + 1) * EVERY

    def test_a_crash_asks_again_for_the_very_same(self) -> None:
        stage = FeedbackStage(None)
        (request,) = self.requests(stage.step(inputs()))
        stage.step([FakeTrainer().train(request)])  # so that the next has weights to start from
        kept = stage.snapshot()
        (again,) = self.requests(FeedbackStage(kept).step([]))
        assert again.version == 2
        assert self.requests(FeedbackStage(kept).step([])) == [again]
        assert FeedbackStage(kept).snapshot() == kept

    def test_a_result_that_comes_twice_or_too_late_does_no_harm(self) -> None:
        stage = FeedbackStage(None)
        (request,) = self.requests(stage.step(inputs()))
        result = FakeTrainer().train(request)
        stage.step([result])
        kept = stage.snapshot()
        assert stage.step([result, msgspec.structs.replace(result, version=9)]) == []
        assert stage.snapshot() == kept

    def test_what_the_log_has_is_adopted_and_not_trained_again(self) -> None:
        stage = FeedbackStage(None)
        given = inputs()
        known = updates(reference())
        stage.step(given[:1])
        stage.step(known[:5])
        made = stage.step(given[1:])
        (request,) = self.requests(made)
        assert request.version == 6
        assert not [e for e in made if isinstance(e, LearnerUpdate)]
        trainer = FakeTrainer()
        run(events(), trainer)
        assert request == trainer.asked[5]  # from the weights that the log came to

    def test_the_first_in_the_log_wins_over_its_own(self) -> None:
        stage = FeedbackStage(None)
        (request,) = self.requests(stage.step(inputs()))
        own = stage.step([FakeTrainer().train(request)])
        other = next(u for u in updates(reference()) if u.version == 2)
        theirs = msgspec.structs.replace(other, version=1)
        stage.step([theirs])
        (two,) = self.requests(own)
        stage.step([FakeTrainer(lambda m: (2.0, 1.0)).train(two)])  # kept: the weights in use stay
        (three,) = self.requests(FeedbackStage(stage.snapshot()).step([]))
        wanted = weights.from_bytes(weights_of(theirs)).tensors["w1"]
        np.testing.assert_array_equal(weights.from_bytes(three.raw).tensors["w1"], wanted)

    def test_a_book_is_not_closed_while_a_version_is_trained(self) -> None:
        stage, trainer = FeedbackStage(None), FakeTrainer()
        made = stage.step([*inputs(), BookClosed(book="book", last=ROWS - 1)])
        told = []
        while request := next(iter(self.requests(made)), None):
            assert not stage.progress("book").has_used(ROWS)
            made = stage.step([trainer.train(request)])
            told += [e.version for e in made if isinstance(e, LearnerUpdate)]
        assert told == list(range(1, VERSIONS + 1))
        assert stage.progress("book").has_used(ROWS)


class TestWorker:
    """The stage on a partition: what was asked for is asked for again after a restart."""

    def worker(self, saved: bytes | None = None) -> StageWorker:
        (stage,) = (s for s in TOPOLOGY if s.name == "feedback")
        return StageWorker(stage, "layout", saved)

    def test_a_cut_of_the_rows_gives_the_updates_of_the_embedded_run(self) -> None:
        worker, trainer, raws, restarts = self.worker(), FakeTrainer(), [], 0
        seen = run(cuts(96), FakeTrainer(), wire=True)
        offsets = {topics.FEATURES: 0, topics.PROPOSALS: 0}
        pending: list[TrainResult] = []
        for topic, event in seen:
            if topic not in offsets:
                continue
            worker.receive(topic, offsets[topic], to_json(event))
            offsets[topic] += 1
            raws += [r.raw for r in worker.step()]
            asked = worker.requests()
            if asked and asked[0].version % 4 == 0:  # a crash with a request under way
                worker = self.worker(worker.save({}))
                raws += [r.raw for r in worker.step()]
                assert worker.requests() == asked
                restarts += 1
            pending += [trainer.train(request) for request in asked]
            while pending:
                worker.answer(pending.pop())
                raws += [r.raw for r in worker.step()]
                pending += [trainer.train(request) for request in worker.requests()]
        assert restarts > 1
        assert raws == [to_json(u) for u in updates(reference())]
