"""Online retraining: one update for every version, at the same rows in every run, however cut or killed."""

import re
from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np
import pytest

from retrained_book import AGENTS, EVERY, LAG, ROWS, FakeTrainer, better, events
from simulated_book import Recorded, outputs, same
from windvane.metamodel import weights
from windvane.streams import topics
from windvane.streams.codec import to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    Ticks,
    TrainRequest,
    TrainResult,
    cut,
    join,
)
from windvane.streams.feedback_stage import FeedbackStage
from windvane.streams.retraining import MOST_WAITING, weights_of
from windvane.streams.stage import StateError
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

RESULTS = (topics.LEARNER, topics.DECISIONS, topics.ORDERS, topics.FILLS, topics.STATEMENTS)
PREDICTOR = 3
VERSIONS = ROWS // EVERY


def run(given: Sequence[Event], trainer: FakeTrainer | None = None, *, wire: bool = False) -> Recorded:
    seen: Recorded = []
    runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), wire=wire, trainer=trainer or FakeTrainer())
    for event in given:
        runner.feed([event])
    return seen


@cache
def reference() -> Recorded:
    return run(events())


def updates(seen: Recorded) -> list[LearnerUpdate]:
    return [e for _, e in seen if isinstance(e, LearnerUpdate)]


def decisions(seen: Recorded) -> Decisions:
    return join([e for _, e in seen if isinstance(e, Decisions)])


def cuts(rows: int) -> list[Event]:
    first, ticks, last = events()
    assert isinstance(ticks, Ticks)
    return [first, *(cut(ticks, at, at + rows) for at in range(0, ROWS, rows)), last]


def inputs() -> list[Event]:
    """What the feedback stage reads, in order."""
    return [
        e
        for t, e in reference()
        if isinstance(e, Features | Proposals) or (t == topics.FEATURES and isinstance(e, BookOpened))
    ]


def test_every_version_has_one_update_at_its_row() -> None:
    found = updates(reference())
    assert [u.version for u in found] == list(range(1, VERSIONS + 1))
    assert [u.trained_at for u in found] == [EVERY * m - 1 for m in range(1, VERSIONS + 1)]
    assert all(u.effective_from == u.trained_at + LAG for u in found)
    assert [u.outcome for u in found] == ["kept" if m % 3 == 0 else "swapped" for m in range(1, VERSIONS + 1)]
    assert all(bool(u.weights) == (u.outcome == "swapped") for u in found)
    assert found[3].score_new < found[3].score_old


def test_weights_act_from_their_row_on_and_not_before() -> None:
    """Against a run whose version 7 is refused."""
    ours = decisions(reference())
    without = decisions(run(events(), FakeTrainer(lambda m: (1.0, 1.0) if m < 7 and m % 3 else (2.0, 1.0))))
    (update,) = (u for u in updates(reference()) if u.version == 7)
    start = update.effective_from
    assert ours.learner[start - 1] == 6
    assert ours.learner[start] == 7
    assert ours.member_targets[:start].tobytes() == without.member_targets[:start].tobytes()
    differs = (ours.member_targets[start:, PREDICTOR] != without.member_targets[start:, PREDICTOR]).nonzero()[
        0
    ]
    assert 0 <= differs[0] < 16  # the next prediction, one every eight good rows
    others = [k for k in range(ours.members.shape[1]) if k != PREDICTOR]
    assert ours.member_targets[:, others].tobytes() == without.member_targets[:, others].tobytes()


@pytest.mark.parametrize("rows", [1, 7, 95, 96, 97, 500])
def test_batches_do_not_matter(rows: int) -> None:
    same(outputs(run(cuts(rows)), *RESULTS), outputs(reference(), *RESULTS))


def test_the_wire_does_not_matter() -> None:
    same(outputs(run(events(), wire=True), *RESULTS), outputs(reference(), *RESULTS))


@pytest.mark.parametrize("upto", [575, 576, 582, 583, 1_000])
def test_the_future_changes_nothing_before_it(upto: int) -> None:
    first, ticks, _ = events()
    assert isinstance(ticks, Ticks)
    seen = run([first, cut(ticks, 0, upto)])
    past = [u for u in updates(reference()) if u.trained_at < upto]
    assert updates(seen) == past
    got, wanted = decisions(seen), decisions(reference())
    assert got.last == upto - 1
    assert got.members.tobytes() == wanted.members[:upto].tobytes()
    assert got.target.tobytes() == wanted.target[:upto].tobytes()


@pytest.mark.parametrize("rows", [40, 96, 200])
def test_gone_on_with_after_every_batch_is_as_if_never_interrupted(rows: int) -> None:
    seen: Recorded = []
    trainer = FakeTrainer()
    runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), trainer=trainer)
    for event in cuts(rows):
        runner.feed([event])
        runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), snapshot=runner.snapshot(), trainer=trainer)
    same(outputs(seen, *RESULTS), outputs(reference(), *RESULTS))


def test_a_runner_without_a_trainer_says_so() -> None:
    runner = EmbeddedRunner()
    with pytest.raises(StateError, match="this runner has no trainer"):
        runner.feed(events())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_a_trainer_makes_of_garbage_is_kept(value: float) -> None:
    seen = run(events(), FakeTrainer(value=value))
    assert {u.outcome for u in updates(seen)} == {"kept"}
    assert len(updates(seen)) == VERSIONS


@pytest.mark.parametrize("scores", [(np.nan, 1.0), (1.0, np.nan), (1.0 + 1e-12, 1.0)])
def test_what_scores_worse_or_not_at_all_is_kept(scores: tuple[float, float]) -> None:
    assert {u.outcome for u in updates(run(events(), FakeTrainer(lambda m: scores)))} == {"kept"}


def test_a_training_starts_from_the_weights_in_use() -> None:
    trainer = FakeTrainer()
    seen = run(events(), trainer)
    assert [r.version for r in trainer.asked] == list(range(1, VERSIONS + 1))
    starts = [weights.from_bytes(r.raw).tensors.get("w1") for r in trainer.asked]
    swapped = [u.outcome == "swapped" for u in updates(seen)]
    assert starts[0] is None
    for m in range(1, VERSIONS):
        before, now = starts[m - 1], starts[m]
        assert now is not None
        assert (before is not None and np.array_equal(before, now)) != swapped[m - 1]


class TestFeedback:
    """The stage alone, with a trainer that takes its time."""

    def requests(self, made: Sequence[Event]) -> list[TrainRequest]:
        return [e for e in made if isinstance(e, TrainRequest)]

    def test_it_goes_on_while_one_is_trained_and_asks_for_one_at_a_time(self) -> None:
        stage = FeedbackStage(None)
        made = stage.step(inputs())
        (request,) = self.requests(made)
        assert request.version == 1
        assert stage.reached("book") == MOST_WAITING * EVERY
        assert not [e for e in made if isinstance(e, LearnerUpdate)]
        after = stage.step([FakeTrainer().train(request)])
        assert [(type(e).__name__, getattr(e, "version", 0)) for e in after] == [
            ("LearnerUpdate", 1),
            ("TrainRequest", 2),
        ]
        assert stage.reached("book") == (MOST_WAITING + 1) * EVERY

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
            assert not stage.used("book", ROWS)
            made = stage.step([trainer.train(request)])
            told += [e.version for e in made if isinstance(e, LearnerUpdate)]
        assert told == list(range(1, VERSIONS + 1))
        assert stage.used("book", ROWS)


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


def test_an_update_whose_weights_cannot_be_used_is_kept_and_told_of() -> None:
    stage = EnsembleStage(None)
    stage.step(inputs()[:1])
    good = updates(reference())[0]
    for bad, reason in (
        ("?", "not base64"),
        ("", "not safetensors"),
        (good.weights[: len(good.weights) // 8 * 4], "not safetensors|outside"),
    ):
        (letter,) = EnsembleStage(stage.snapshot()).step([msgspec.structs.replace(good, weights=bad)])
        assert isinstance(letter, DeadLetter)
        assert "learner version 1 of book book is kept" in letter.reason
        assert re.search(reason, letter.reason)
    assert stage.step([good]) == []
    assert len(good.agents) == AGENTS


@pytest.mark.parametrize("rows", [96, 1_300])
def test_a_person_can_roll_back(rows: int) -> None:
    """From that row on it is as if the last swap had not been, until the next; money and risk are left alone."""
    at = 800  # version 8 is in use, 7 was before it
    first, ticks, last = events()
    assert isinstance(ticks, Ticks)
    seen: Recorded = []
    runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), trainer=FakeTrainer())
    runner.feed([first])
    runner.control([Control(book="book", number=1, action="roll-back", effective_from=at)])
    for start in range(0, ROWS, rows):
        runner.feed([cut(ticks, start, start + rows)])
    runner.feed([last])
    without = decisions(run(events(), FakeTrainer(lambda m: (2.0, 1.0) if m == 8 else better(m))))
    ours, plain = decisions(seen), decisions(reference())
    upto = next(u.effective_from for u in updates(seen) if u.version == 10)  # 9 is kept
    differs = np.flatnonzero(ours.member_targets[:, PREDICTOR] != plain.member_targets[:, PREDICTOR])
    assert at <= differs[0] < at + 16
    assert (ours.state == plain.state).all()
    assert ours.controls[at - 1 : at + 1].tolist() == [0, 1]
    weights_of_member = [k for k in range(ours.member_targets.shape[1]) if k != PREDICTOR]
    assert (
        ours.member_targets[:upto, weights_of_member] == plain.member_targets[:upto, weights_of_member]
    ).all()
    late = slice(upto - 16, upto)  # smoothed: two versions apart from the same weights come together
    gap = np.abs(ours.member_targets[late, PREDICTOR] - without.member_targets[late, PREDICTOR]).max()
    assert (
        gap
        < 0.1 * np.abs(plain.member_targets[late, PREDICTOR] - without.member_targets[late, PREDICTOR]).max()
    )


def test_without_weights_there_is_nothing_to_roll_back_to() -> None:
    seen: Recorded = []
    runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), trainer=FakeTrainer())
    runner.feed(events()[:1])
    runner.control([Control(book="book", number=1, action="roll-back", effective_from=50)])
    runner.feed(events()[1:])
    (letter,) = (e for _, e in seen if isinstance(e, DeadLetter))
    assert "no weights to roll back to" in letter.reason
    same(outputs(seen, topics.ORDERS), outputs(reference(), topics.ORDERS))
