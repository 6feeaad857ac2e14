"""Swaps: other weights from one row on and not before, verified first, the same in every run, without a row missing."""

import base64
import re

import msgspec
import numpy as np
import pytest

from as_recorded import as_recorded
from retrained_book import ROWS, FakeTrainer, events, reference, updates
from simulated_book import Recorded, outputs, same, table
from swapped_book import (
    AT,
    BACK,
    MONEY,
    decisions,
    letters,
    once,
    raw,
    run,
    same_but_for_the_number,
    swapped,
    there_and_back,
)
from windvane.metamodel.learning.members import MEMBERS
from windvane.streams import topics
from windvane.streams.checks import MOST_MODEL_BYTES, Checks
from windvane.streams.codec import to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    Decisions,
    Features,
    LearnerUpdate,
    Model,
    Proposals,
    Ticks,
    cut,
)
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

PREDICTOR = MEMBERS.index("predictor")


def to_b64(given: bytes) -> str:
    return base64.b64encode(given).decode()


def stage_before(row: int) -> EnsembleStage:
    stage = EnsembleStage(None)
    for _, event in reference():
        if isinstance(event, BookOpened | LearnerUpdate):
            stage.step([event])
        elif isinstance(event, Features | Proposals):
            stage.step([cut(event, 0, row)])
    return stage


def states(stage: EnsembleStage) -> dict[str, bytes]:
    """What was learned; of the weights before the last swap only whether there are any."""
    state = stage._books["book"].ensemble.state()
    use = state.pop("learner.predictor.use")
    kept = {n: v.tobytes() for n, v in state.items() if ".before." not in n}
    return {**kept, "use": use[:1].tobytes()}


class TestSwap:
    """A swap of weights: EnsembleBook and its controls."""

    @pytest.mark.parametrize("kind", ["predictor", "learner"])
    def test_it_acts_from_its_row_on_and_not_before_and_no_row_is_missing(self, kind: str) -> None:
        ours, plain = decisions(once(kind)), decisions(reference())
        assert ours.seq.tolist() == list(range(ROWS))
        assert letters(once(kind)) == []
        assert ours.controls[AT - 1 : AT + 1].tolist() == [0, 1]
        for name in ("weights", "members", "member_targets", "target", "equities"):
            assert getattr(ours, name)[:AT].tobytes() == getattr(plain, name)[:AT].tobytes()
        column = slice(PREDICTOR, PREDICTOR + 1) if kind == "predictor" else slice(None)
        unlike = ours.member_targets[:, column] != plain.member_targets[:, column]
        first = int(np.flatnonzero(unlike.any(axis=1))[0])
        assert (
            AT <= first < AT + (16 if kind == "predictor" else 1)
        )  # a prediction is made every eight good rows
        assert np.array_equal(ours.state, plain.state)

    def test_slow_learning_goes_on_as_if_nothing_had_happened(self) -> None:
        """It learns from features and proposals only; what it swaps in next replaces what a person gave."""
        assert updates(once("predictor")) == updates(reference())
        ours, plain = decisions(once("predictor")), decisions(reference())
        assert ours.learner.tobytes() == plain.learner.tobytes()

    @pytest.mark.parametrize("kind", ["predictor", "learner"])
    @pytest.mark.parametrize("rows", [7, 96, 500])
    def test_neither_batches_nor_crashes_nor_the_wire_matter(self, kind: str, rows: int) -> None:
        orders = [*swapped(kind), BACK]
        wanted = outputs(there_and_back(kind), topics.DECISIONS, *MONEY)
        same(outputs(run(orders, rows), topics.DECISIONS, *MONEY), wanted)
        same(outputs(run(orders, rows, wire=rows == 96, crash=True), topics.DECISIONS, *MONEY), wanted)

    def test_whether_the_model_or_the_control_is_there_first_does_not_matter(self) -> None:
        model, control = swapped("learner")
        again = run([control, control, model, model])
        same(outputs(again, topics.DECISIONS, *MONEY), outputs(once("learner"), topics.DECISIONS, *MONEY))

    @pytest.mark.parametrize(
        ("kind", "says"),
        [
            ("other agents", r"changes nothing: the predictor needs a tensor w1 of shape \(6, "),
            ("NaN", "changes nothing: tensor w3 of the predictor holds NaN or inf"),
            ("too large", "changes nothing: tensor w1 of the predictor holds NaN or inf, as float32"),
            ("cancels", "so large that its sums could overflow"),
            ("explodes", "give NaN or inf on a canary state"),
            ("NaN in a learner", "changes nothing: share holds NaN or inf"),
            ("cancels in a learner", "so large that its sums could overflow"),
            ("other members", "changes nothing: the members of this learner are"),
            ("not weights", "changes nothing: not safetensors"),
        ],
    )
    def test_what_does_not_pass_changes_nothing_and_is_told_of(self, kind: str, says: str) -> None:
        seen = run(swapped(kind), 100)
        (said,) = letters(seen)
        assert said.startswith("control 1 of book book")
        assert re.search(says, said), said
        assert decisions(seen).controls[AT] == 1  # it was obeyed, and came to nothing
        same_but_for_the_number(seen, reference())

    def test_a_model_that_is_not_what_it_says_is_left_out(self) -> None:
        model, control = swapped("learner")
        for weights_, says in (("?", "not base64"), (to_b64(raw("predictor")), "another SHA-256")):
            seen = run([msgspec.structs.replace(model, weights=weights_), control])
            assert "model 1 of book book is left out" in letters(seen)[0]
            assert says in letters(seen)[0]
            assert decisions(seen).controls.max() == 0
            same_but_for_the_number(seen, reference())

    def test_no_row_waits_for_a_model_and_a_late_one_acts_from_the_next_row_on(self) -> None:
        model, control = swapped("learner", 500)
        seen: Recorded = []
        runner = EmbeddedRunner(lambda t, e: seen.append((t, e)), trainer=FakeTrainer())
        first, ticks, last = events()
        assert isinstance(ticks, Ticks)
        runner.feed([first])
        runner.control([control])
        runner.feed([cut(ticks, 0, 500)])
        assert letters(seen) == []
        runner.feed([cut(ticks, 500, 600)])
        runner.feed([cut(ticks, 600, AT)])
        assert letters(seen) == [
            f"control 1 of book book swaps to model {model.sha256[:16]}, which is not there: it waits, rows do not, "
            "and a later control passes it"
        ]
        runner.control([model])
        runner.feed([cut(ticks, AT, ROWS), last])
        same(outputs(seen, topics.DECISIONS, *MONEY), outputs(once("learner"), topics.DECISIONS, *MONEY))

    def test_a_halt_does_not_wait_behind_a_swap_without_a_model(self) -> None:
        model, control = swapped("learner", 500)
        halt = Control(book="book", number=2, action="halt", effective_from=600)
        seen = run([control, halt], 100)
        rows = decisions(seen)
        assert rows.controls[[599, 600]].tolist() == [0, 2]
        assert rows.state[600] == 2
        late = run([control, halt, msgspec.structs.replace(model, number=3)], 100)
        same(outputs(late, topics.DECISIONS), outputs(seen, topics.DECISIONS))

    @pytest.mark.parametrize("first", ["learner", "predictor"])
    def test_a_roll_back_goes_to_what_was_there_before(self, first: str) -> None:
        """At once taken back it is as if it had not been, but for what follows from one row."""
        back = Control(book="book", number=2, action="roll-back", effective_from=AT)
        again = Control(book="book", number=3, action="roll-back", effective_from=AT)
        stage = stage_before(AT)
        before = states(stage)
        stage.step(swapped(first))
        book = stage._books["book"]
        assert list(book._apply(book.controls.known[1], AT)) == []
        assert states(stage) != before
        assert list(book._apply(back, AT)) == []
        assert states(stage) == before
        assert len(list(book._apply(again, AT))) == 1
        seen = run([*swapped(first), back, again], 100)
        assert letters(seen) == ["book book has no weights to roll back to: nothing is changed"]
        assert decisions(seen).controls[AT : AT + 3].tolist() == [1, 2, 3]

    def test_a_version_after_a_learner_is_taken_back_alone(self) -> None:
        """The last swap is that of the version: a roll-back leaves the learner."""
        start = next(u.effective_from for u in updates(reference()) if u.version == 8)
        assert start < AT
        upto = next(u.effective_from for u in updates(reference()) if u.version == 10)  # 9 is kept
        back = Control(book="book", number=2, action="roll-back", effective_from=upto + 1)
        seen, plain = run([*swapped("learner"), back], 100), once("learner")
        assert letters(seen) == []
        kept = [k for k in range(len(MEMBERS)) if k != PREDICTOR]
        ours, theirs = decisions(seen).member_targets, decisions(plain).member_targets
        assert ours[upto + 1, kept].tobytes() == theirs[upto + 1, kept].tobytes()
        assert (ours[upto:, PREDICTOR] != theirs[upto:, PREDICTOR]).any()

    def test_a_run_is_computed_again_as_recorded(self) -> None:
        seen = run([*swapped("learner"), *swapped("NaN", AT + 50, 2), *swapped("predictor", AT + 60, 3)], 100)
        (opened,) = (e for t, e in seen if isinstance(e, BookOpened) and t is topics.TICKS)
        kinds = Features | Proposals | LearnerUpdate | Control | Model | BookClosed
        inputs = [e for t, e in seen if isinstance(e, kinds) and t is not topics.TICKS]
        again = list(as_recorded(opened, [decisions(seen)], inputs))
        same(table(e for e in again if isinstance(e, Decisions)), table([decisions(seen)]))

    def test_a_row_that_was_decided_after_a_swap_is_not_computed_again_without_its_model(self) -> None:
        seen = once("learner")
        model, control = swapped("learner")
        inputs = [e for _, e in seen if isinstance(e, BookOpened | LearnerUpdate | Features | Proposals)]
        stage = EnsembleStage(None)
        stage.follow(decisions(seen))
        found = stage.step([*inputs, control])
        assert max(e.last for e in found if isinstance(e, Decisions)) == AT - 1
        found += stage.step([model])
        same(table(e for e in found if isinstance(e, Decisions)), table([decisions(seen)]))
        assert stage._books["book"].controls.staged == {}  # used up
        stage.step([model])
        assert stage._books["book"].controls.staged == {}

    def test_a_worker_refuses_what_is_not_signed_or_too_large(self) -> None:
        stage = next(s for s in TOPOLOGY if s.name == "ensemble")
        worker = StageWorker(stage, "here", checks=Checks(signed=lambda said: said.signature == "good"))
        model, control = swapped("predictor", 0)
        good = msgspec.structs.replace(control, signature="good")
        worker.receive(topics.MODELS, 0, to_json(model))
        worker.receive(topics.CONTROL, 0, to_json(good))
        worker.receive(topics.CONTROL, 1, to_json(control))
        worker.receive(topics.MODELS, 1, b" " * (MOST_MODEL_BYTES + 1))
        worker.receive(topics.MODELS, 2, to_json(control))
        reasons = [msgspec.json.decode(record.raw)["reason"] for record in worker.step()]
        assert reasons == [
            "model 1 is not signed by who may: set the key that the workers have",
            "control 1 is not signed by who may: set the key that the workers have",
            f"the record has {MOST_MODEL_BYTES + 1} bytes: models have at most {MOST_MODEL_BYTES}",
            "Control does not belong on models",
        ]
