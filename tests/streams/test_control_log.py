"""Controls: each is applied, or a dead letter says why not; numbers only rise, copies do no harm, no halt waits."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timed_book import LOCKSTEP, TIMED, Book, source

from as_recorded import as_recorded
from simulated_book import crossed
from windvane.streams import control_log
from windvane.streams.checks import Checks
from windvane.streams.codec import from_json, to_json
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.ensemble_upcasts import upcast_v1_v2
from windvane.streams.events import BookClosed, Control, DeadLetter, Decisions, Event, join
from windvane.streams.models import swap_to
from windvane.streams.topics import CONTROL, FEATURES, MODELS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

HALTED = 2
NO_MORE = "and numbers only rise: order it again with `windvane control`, which takes the next number"


def control(number: int, action: str = "halt", row: int = 0, reason: str = "") -> Control:
    return Control(book="book", number=number, action=action, effective_from=row, reason=reason)


def letters(events: Iterable[Event]) -> list[str]:
    """What is told of controls; the price of these rows leaves its level, too."""
    told = [e.reason for e in events if isinstance(e, DeadLetter)]
    return [reason for reason in told if "another level" not in reason]


def lacking(book: Book) -> tuple[int, str]:
    """The next row, and the topic that is told of as the one that it lacks something from."""
    seq, names = book.stage.waiting()["book"]
    assert book.stage.waits_for("book") == names
    return seq, names[0]


def upto(book: Book, row: int) -> Book:
    """Rows up to this one, all at once."""
    at = book.rows
    return book.features(at, row).first(at, row).second(at, row)


@pytest.mark.parametrize("opened", [LOCKSTEP, TIMED], ids=["lockstep", "timed"])
@pytest.mark.parametrize("first", [1, 2])
def test_a_halt_does_not_wait_behind_a_resume_that_was_planned(opened: Event, first: int) -> None:
    """Whichever is there first, and though both are there before any row, in one step."""
    resume, halt = control(1, "resume", 600), control(2, "halt", 100)
    orders = (resume, halt) if first == 1 else (halt, resume)
    book = upto(Book(opened).add(*source()[3], *orders), 700)
    assert book.decided.controls[[99, 100, 699]].tolist() == [0, 2, 2]
    assert book.decided.state[[100, 699]].tolist() == [HALTED, HALTED]
    said = "control 1 of book book (resume, from row 600) is not applied: control 2 was applied before it, at row 100"
    assert letters(book.out) == [f"{said}, {NO_MORE}"]


def test_a_halt_at_once_is_obeyed_at_the_next_row_whatever_is_planned() -> None:
    book = upto(Book().add(control(1, "resume", 600)), 50)
    book.add(control(2))
    assert upto(book, 90).decided.controls.tolist() == [0] * 50 + [2] * 40


def test_what_is_due_at_one_row_is_applied_in_the_order_of_its_numbers_a_row_each() -> None:
    book = Book().add(control(3, "halt", 40), control(1, "reduce-only", 40), control(2, "resume", 30))
    rows = upto(book, 60).decided
    assert rows.controls[[29, 30, 39, 40, 41]].tolist() == [0, 2, 2, 3, 3]  # 2 was due first, and passes 1
    assert len(letters(book.out)) == 1
    assert rows.state[40] == HALTED
    book = Book().add(control(3, "resume", 40), control(2, "halt", 40), control(1, "reduce-only", 40))
    assert upto(book, 60).decided.controls[39:44].tolist() == [0, 1, 2, 3, 3]
    assert letters(book.out) == []


def test_a_control_that_comes_too_late_is_told_of_once() -> None:
    book = upto(Book().add(control(5)), 50)
    late = msgspec.structs.replace(control(3, "halt", 0, "fat finger"), signature="ab")
    book.add(late).add(late)
    said = "control 3 of book book (halt, at once) is not applied: control 5 was applied before it, at row 0"
    assert letters(book.out) == [f"{said}, {NO_MORE}"]
    (letter,) = [e for e in book.out if isinstance(e, DeadLetter)]
    assert (letter.book, letter.source) == ("book", "Control of book book")
    assert letter.payload == control_log.payload_of(late)
    assert letter.payload == to_json(control(3, "halt", 0, "fat finger")).decode()  # with a broker or without
    assert upto(book, 60).decided.controls.max() == 5


def test_a_number_that_is_taken_is_told_of_whether_its_owner_waits_or_rules() -> None:
    book = Book().add(control(1, "halt", 30), control(1, "flatten", 30))
    said = "is not applied: another control had that number first"
    assert [said in letter for letter in letters(book.out)] == [True]
    upto(book, 50).add(control(1, "resume"))
    assert [said in letter for letter in letters(book.out)] == [True, True]
    assert book.decided.state[30] == HALTED


@given(st.lists(st.sampled_from(crossed()[:6]), min_size=1, max_size=12), st.booleans())
@settings(max_examples=25, deadline=None)
def test_copies_of_what_waits_or_rules_say_nothing(copies: list[Control], signed: bool) -> None:
    """Nor do copies with the signature of another key, as after a rotation."""
    given_ = crossed()[:6]
    once = upto(Book().add(*given_), 500)
    told = len(letters(once.out))
    again = [msgspec.structs.replace(c, signature="ab") if signed else c for c in copies]
    once.add(*again)
    fresh = upto(Book().add(*given_).add(*again), 500)
    assert len(letters(once.out)) == len(letters(fresh.out)) == told == 3
    assert np.array_equal(once.decided.controls, fresh.decided.controls)


def test_what_the_closing_of_a_book_leaves_and_what_comes_after_it_is_told_of() -> None:
    book = Book(LOCKSTEP).add(control(1, "resume", 5000), control(2, "halt", 6000))
    upto(book, 100).add(BookClosed(book="book", last=99))
    said = [
        f"control {n} of book book ({what}) is not applied: the book is closed"
        for n, what in ((1, "resume, from row 5000"), (2, "halt, from row 6000"))
    ]
    assert letters(book.out) == said
    book.add(control(3))
    assert letters(book.out)[2:] == [
        "control 3 of book book (halt, at once) is not applied: the book is closed"
    ]


@pytest.mark.parametrize("number", [0, -5])
def test_a_number_below_the_first_is_told_of(number: int) -> None:
    book = Book().add(control(number))
    assert "is not applied: numbers begin with 1" in letters(book.out)[0]


def test_a_book_that_nobody_opened_is_told_of_and_its_control_is_kept() -> None:
    stage = EnsembleStage(None)
    stage.step([control(1)])
    assert stage.give_up_early() == []  # the opening may be on its way
    assert letters(stage.give_up_early()) == [
        "control 1 of book book (halt) waits: no book of that name is open"
    ]
    stage.step([control(2, "resume", 9)])
    assert [letters(stage.give_up_early()) for _ in range(3)] == [
        [],
        ["control 2 of book book (resume) waits: no book of that name is open"],
        [],
    ]
    book = Book.__new__(Book)
    book.stage, book.out = stage, stage.step([TIMED])
    assert upto(book, 20).decided.controls[[0, 8, 9]].tolist() == [1, 1, 2]


def test_only_so_many_numbers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_log, "MOST_REMEMBERED", 3)
    log = control_log.ControlLog()
    for number in range(1, 9):
        assert log.hear(control(number)) == ""
        log.obey(number, 10 * number)
    saved = log.save()
    assert [n for n, _ in saved["heard"]] == [n for n, _ in saved["obeyed"]] == [6, 7, 8]
    assert log.hear(control(8)) is None
    assert log.passed(7).startswith("control 8 was applied before it, at row 80, ")
    assert log.passed(8).startswith(
        "one with this number or a higher one was applied before it, "
    )  # of an older state


def test_a_state_without_this_memory_goes_on() -> None:
    """As an older version stored it."""
    book = upto(Book().add(control(4), control(6, "resume", 700)), 50)
    state = book.stage._books["book"]
    saved = {k: v for k, v in state.save().items() if k not in ("heard", "obeyed", "lacking")}
    state.load(upcast_v1_v2(saved, Book().stage._books["book"].save()))
    book.add(control(6, "resume", 700), control(5), control(2), control(4, "resume"))
    assert [letter[:10] for letter in letters(book.out)] == ["control 2 ", "control 4 "]
    assert "one with this number or a higher one was applied before it" in letters(book.out)[0]
    assert upto(book, 60).decided.controls[[49, 50]].tolist() == [4, 5]


class TestRecovery:
    """The same letters, and none twice, however a run is computed again."""

    @pytest.mark.parametrize("cut", [1, 40, 250])
    def test_it_goes_on_from_any_state_with_all_controls_sent_again(self, cut: int) -> None:
        orders = crossed()
        plain = upto(Book().add(*orders), 1200)
        book = upto(Book().add(*orders[:7]), cut)
        again = Book(snapshot=book.stage.snapshot()).add(*orders)
        again.features(cut, 1200).first(cut, 1200).second(cut, 1200)
        whole = [*book.out, *again.out]
        assert sorted(letters(whole)) == sorted(letters(plain.out))
        rows = join([e for e in whole if isinstance(e, Decisions)])
        assert np.array_equal(rows.controls, plain.decided.controls)

    def test_what_came_late_and_what_was_passed_is_told_in_the_same_words(self) -> None:
        """A replay as recorded has every control from the first row on."""
        features, first, second, _ = source()
        run = upto(Book().add(control(3, "reduce-only", 20)), 60)
        run.add(control(2), control(7), control(7, "resume"))
        upto(run, 100).add(control(5), control(1, "resume", 900), control(9, "halt", 2000))
        upto(run, 1300).add(BookClosed(book="book", last=1299))
        orders = [control(3, "reduce-only", 20), control(2), control(7), control(7, "resume"), control(5)]
        orders += [control(1, "resume", 900), control(9, "halt", 2000)]
        inputs = [*orders, features, first, second, BookClosed(book="book", last=1299)]
        again = list(as_recorded(TIMED, [run.decided], inputs))
        assert sorted(letters(again)) == sorted(letters(run.out))
        assert len(letters(again)) == 5

    def test_a_row_that_was_decided_with_a_control_that_is_not_believed_says_what_it_waits_for(self) -> None:
        """After a change of the key, say."""
        run = upto(Book().add(control(1, "halt", 30)), 60)
        follower = Book()
        follower.stage.follow(run.decided)
        upto(follower, 60)
        assert follower.rows == 30
        assert lacking(follower) == (30, CONTROL.name)
        follower.add(control(1, "halt", 30))
        assert follower.rows == 60
        model, swap = swap_to(b"no weights", book="book", number=1, effective_from=30)
        run = upto(Book().add(model, swap), 60)
        follower = Book()
        follower.stage.follow(run.decided)
        upto(follower, 60).add(swap)
        assert lacking(follower) == (30, MODELS.name)
        assert {CONTROL.name, MODELS.name} <= follower.waits

    def worker(self, saved: bytes | None = None, signed: bool = True) -> StageWorker:
        return StageWorker(TOPOLOGY[3], "here", saved, Checks(signed=lambda said: signed))

    def receive(self, worker: StageWorker, orders: Sequence[bytes], start: int = 0) -> list[str]:
        for offset, raw in enumerate(orders, start):
            worker.receive(CONTROL, offset, raw)
        return letters(from_json(r.raw) for r in worker.step())

    def test_what_is_read_again_after_a_restart_is_told_once(self) -> None:
        """Another book's control, for a book that is not open, holds the place to read from back."""
        unopened = msgspec.structs.replace(control(1), book="soon")
        raws = [to_json(unopened), b"halt!", to_json(control(2)), to_json(control(2, "resume"))]
        worker = self.worker()
        worker.receive(FEATURES, 0, to_json(LOCKSTEP))
        told = self.receive(worker, raws)
        assert len(told) == 2
        again = self.worker(worker.save({}))
        assert again.positions[CONTROL.name] == 0
        assert self.receive(again, raws) == []
        assert len(self.receive(again, [to_json(control(2, "flatten"))], 4)) == 1
        third = self.worker(again.save({}))
        assert self.receive(third, [*raws, to_json(control(2, "flatten"))]) == []
        third.receive(FEATURES, 1, to_json(msgspec.structs.replace(LOCKSTEP, book="soon")))
        third.step()
        assert isinstance(third.logic, EnsembleStage)
        assert list(third.logic._books["soon"].controls.known) == [1]

    def test_what_a_worker_without_the_key_refused_it_refuses_once(self) -> None:
        worker = self.worker(signed=False)
        raws = [to_json(control(1))]
        assert len(self.receive(worker, raws)) == 1
        again = self.worker(worker.save({}), signed=False)
        assert again.positions[CONTROL.name] == 1
        assert len(self.receive(again, raws, 1)) == 1  # sent anew
