"""Which control a book applies next and at which row, asked of its controls; numbers and rows rise or do not."""

from itertools import permutations

import pytest

from windvane.streams.book_controls import BookControls
from windvane.streams.choices import Choice
from windvane.streams.events import Control
from windvane.streams.models import swap_to
from windvane.streams.topics import CONTROL, MODELS


def control(number: int, row: int, action: str = "halt") -> Control:
    return Control(book="book", number=number, action=action, effective_from=row)


def known(*controls: Control) -> BookControls:
    """Controls of a book, received in this order."""
    book = BookControls()
    for each in controls:
        assert book.receive(each) == ""
    return book


def following(book: BookControls, row: int) -> tuple[int, int] | None:
    """Number of the control that is applied next and the row before which the next step ends, or begins with one."""
    due, at = book.next_control(row), book.next_time(row)
    assert (due is None) == (at is None)
    return None if due is None or at is None else (due.number, at)


class TestNextControl:
    """The first number that is due; where none is due, the first number."""

    def test_there_is_none_without_controls(self) -> None:
        assert following(known(), 0) is None

    @pytest.mark.parametrize(
        "controls", list(permutations([control(1, 600), control(2, 100), control(5, 300)]))
    )
    def test_what_is_due_passes_a_lower_number_that_is_not(self, controls: tuple[Control, ...]) -> None:
        for row, number in ((0, 1), (99, 1), (100, 2), (599, 2), (600, 1)):
            due = known(*controls).next_control(row)
            assert due is not None
            assert due.number == number, f"at row {row}"

    def test_of_two_that_are_due_the_lower_number_goes_first_though_its_row_is_later(self) -> None:
        due = known(control(7, 10), control(4, 40), control(6, 20)).next_control(40)
        assert due is not None
        assert due.number == 4

    def test_a_swap_without_its_model_is_as_if_it_were_not_known(self) -> None:
        model, swap = swap_to(b"weights", book="book", number=1, effective_from=0)
        assert isinstance(swap, Control)
        book = known(swap, control(2, 50))
        assert following(book, 0) == (2, 50)
        book.stage(model)
        assert following(book, 0) == (1, 0)


class TestNextTime:
    """The least row at which any known control is due, whatever its number: a step must end before it."""

    @pytest.mark.parametrize(
        "controls", list(permutations([control(1, 600), control(2, 100), control(3, 350)]))
    )
    def test_a_halt_does_not_wait_behind_a_resume_that_is_planned(
        self, controls: tuple[Control, ...]
    ) -> None:
        assert known(*controls).next_time(0) == 100
        assert known(*controls).next_time(40) == 100

    def test_what_is_for_a_row_that_is_decided_is_due_at_the_next(self) -> None:
        assert known(control(1, 600), control(2, 100)).next_time(250) == 250

    def test_one_control_is_applied_a_row(self) -> None:
        book = known(control(1, 0), control(2, 0), control(3, 90))
        book.apply(control(1, 0), 30)
        assert following(book, 30) == (2, 31)


class TestSteps:
    """Steps end where a control begins to rule, one control a step."""

    def test_numbers_that_fall_while_rows_rise_are_applied_by_row(self) -> None:
        rows, applied, start = 900, [], 0
        book = known(
            control(3, 500, "resume"), control(1, 700, "reduce-only"), control(2, 200), control(4, 800)
        )
        while start < rows:
            stop = book.limit(start, rows, None)
            assert start < stop <= rows
            due = book.at(start, None)
            if due is not None:
                applied.append((due.number, start))
                book.apply(due, start)
            start = stop
        assert applied == [(2, 200), (3, 500), (4, 800)]  # 2 passes 1, which is for a later row

    def test_a_control_that_was_chosen_is_waited_for_and_so_is_its_model(self) -> None:
        model, swap = swap_to(b"weights", book="book", number=3, effective_from=0)
        assert isinstance(swap, Control)
        book, choice = BookControls(), Choice(awake=None, learner=0, control=3, stop=70)
        assert (book.limit(50, 90, choice), book.lacks(choice)) == (50, CONTROL.name)
        book.receive(swap)
        assert (book.limit(50, 90, choice), book.lacks(choice)) == (50, MODELS.name)
        book.stage(model)
        assert (book.limit(50, 90, choice), book.lacks(choice)) == (70, "")
        assert book.at(50, choice) == swap
        book.apply(swap, 50)
        assert (book.limit(51, 90, choice), book.at(51, choice)) == (70, None)
