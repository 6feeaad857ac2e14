"""Online retraining: one update for every version, at the same rows in every run, however cut or killed."""

import re

import msgspec
import numpy as np
import pytest

from retrained_book import (
    AGENTS,
    EVERY,
    LAG,
    ROWS,
    VERSIONS,
    FakeTrainer,
    better,
    cuts,
    events,
    inputs,
    reference,
    run,
    updates,
)
from simulated_book import Recorded, outputs, same
from windvane.metamodel.base import weights
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams import topics
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    Control,
    DeadLetter,
    Decisions,
    Ticks,
    cut,
    join,
)
from windvane.streams.stage import StateError

RESULTS = (topics.LEARNER, topics.DECISIONS, topics.ORDERS, topics.FILLS, topics.STATEMENTS)
PREDICTOR = MEMBERS.index("predictor")


def decisions(seen: Recorded) -> Decisions:
    return join([e for _, e in seen if isinstance(e, Decisions)])


class TestRetraining:
    """Retraining in a run of the whole topology."""

    def test_every_version_has_one_update_at_its_row(self) -> None:
        found = updates(reference())
        assert [u.version for u in found] == list(range(1, VERSIONS + 1))
        assert [u.trained_at for u in found] == [EVERY * m - 1 for m in range(1, VERSIONS + 1)]
        assert all(u.effective_from == u.trained_at + LAG for u in found)
        assert [u.outcome for u in found] == [
            "kept" if m % 3 == 0 else "swapped" for m in range(1, VERSIONS + 1)
        ]
        assert all(bool(u.weights) == (u.outcome == "swapped") for u in found)
        assert found[3].score_new < found[3].score_old

    def test_weights_act_from_their_row_on_and_not_before(self) -> None:
        """Against a run whose version 7 is refused."""
        ours = decisions(reference())
        without = decisions(
            run(events(), FakeTrainer(lambda m: (1.0, 1.0) if m < 7 and m % 3 else (2.0, 1.0)))
        )
        (update,) = (u for u in updates(reference()) if u.version == 7)
        start = update.effective_from
        assert ours.learner[start - 1] == 6
        assert ours.learner[start] == 7
        assert ours.member_targets[:start].tobytes() == without.member_targets[:start].tobytes()
        differs = (
            ours.member_targets[start:, PREDICTOR] != without.member_targets[start:, PREDICTOR]
        ).nonzero()[0]
        assert 0 <= differs[0] < 16  # the next prediction, one every eight good rows
        others = [k for k in range(ours.members.shape[1]) if k != PREDICTOR]
        assert ours.member_targets[:, others].tobytes() == without.member_targets[:, others].tobytes()

    @pytest.mark.parametrize("features", [21, 75])
    def test_another_set_of_features_is_sampled_trained_on_and_used(self, features: int) -> None:
        trainer = FakeTrainer(features=features)
        seen = run(events(features=features), trainer)
        sampled = weights.from_bytes(trainer.asked[0].raw).tensors
        assert sampled["common"].shape[1] == features + 7
        assert [u.outcome for u in updates(seen)] == [u.outcome for u in updates(reference())]
        again = run(events(features=features), FakeTrainer(features=features), wire=True)
        same(outputs(again, *RESULTS), outputs(seen, *RESULTS))
        ours, theirs = (decisions(s).member_targets[:, PREDICTOR] for s in (seen, reference()))
        assert ours.tobytes() != theirs.tobytes()
        wrong = updates(run(events(features=features)))  # a trainer that gives weights for fifty
        assert {u.outcome for u in wrong} == {"kept"}

    @pytest.mark.parametrize("rows", [1, 7, 95, 96, 97, 500])
    def test_batches_do_not_matter(self, rows: int) -> None:
        same(outputs(run(cuts(rows)), *RESULTS), outputs(reference(), *RESULTS))

    def test_the_wire_does_not_matter(self) -> None:
        same(outputs(run(events(), wire=True), *RESULTS), outputs(reference(), *RESULTS))

    @pytest.mark.parametrize("upto", [575, 576, 582, 583, 1_000])
    def test_the_future_changes_nothing_before_it(self, upto: int) -> None:
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
    def test_gone_on_with_after_every_batch_is_as_if_never_interrupted(self, rows: int) -> None:
        seen: Recorded = []
        trainer = FakeTrainer()
        runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), trainer=trainer)
        for event in cuts(rows):
            runner.feed([event])
            runner = EmbeddedRunner(
                lambda t, e: seen.append((t, e)), snapshot=runner.snapshot(), trainer=trainer
            )
        same(outputs(seen, *RESULTS), outputs(reference(), *RESULTS))

    def test_a_runner_without_a_trainer_says_so(self) -> None:
        runner = EmbeddedRunner()
        with pytest.raises(StateError, match="this runner has no trainer"):
            runner.feed(events())

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_what_a_trainer_makes_of_garbage_is_kept(self, value: float) -> None:
        seen = run(events(), FakeTrainer(value=value))
        assert {u.outcome for u in updates(seen)} == {"kept"}
        assert len(updates(seen)) == VERSIONS

    @pytest.mark.parametrize("scores", [(np.nan, 1.0), (1.0, np.nan), (1.0 + 1e-12, 1.0)])
    def test_what_scores_worse_or_not_at_all_is_kept(self, scores: tuple[float, float]) -> None:
        assert {u.outcome for u in updates(run(events(), FakeTrainer(lambda m: scores)))} == {"kept"}

    def test_a_training_starts_from_the_weights_in_use(self) -> None:
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

    def test_an_update_whose_weights_cannot_be_used_is_kept_and_told_of(self) -> None:
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
    def test_a_person_can_roll_back(self, rows: int) -> None:
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
            < 0.1
            * np.abs(plain.member_targets[late, PREDICTOR] - without.member_targets[late, PREDICTOR]).max()
        )

    def test_without_weights_there_is_nothing_to_roll_back_to(self) -> None:
        seen: Recorded = []
        runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), trainer=FakeTrainer())
        runner.feed(events()[:1])
        runner.control([Control(book="book", number=1, action="roll-back", effective_from=50)])
        runner.feed(events()[1:])
        (letter,) = (e for _, e in seen if isinstance(e, DeadLetter))
        assert "no weights to roll back to" in letter.reason
        same(outputs(seen, topics.ORDERS), outputs(reference(), topics.ORDERS))
