"""Which control a book applies next and at which row, asked of the book itself; numbers and rows rise or do not."""

from itertools import permutations

import pytest

from simulated_book import config, opening
from windvane.streams.ensemble_book import EnsembleBook, barrier
from windvane.streams.events import Control
from windvane.streams.models import swap_to


def control(number: int, row: int, action: str = "halt") -> Control:
    return Control(book="book", number=number, action=action, effective_from=row)


def book(*controls: Control, rows: int = 0) -> EnsembleBook:
    """A book that has decided so many rows and has heard these controls, in this order."""
    state = EnsembleBook(opening(config()))
    state.joint = state._joint(rows)
    for each in controls:
        assert state.hear(each) == ""
    return state


def following(state: EnsembleBook) -> tuple[int, int] | None:
    """Number of the control that is applied next and the row at which the next step ends or begins with one."""
    control, row = state.next_control(), state.next_time()
    assert (control is None) == (row is None)
    return None if control is None or row is None else (control.number, row)


class TestNextControl:
    """The first number that is due; where none is due, the first number."""

    def test_there_is_none_without_controls(self) -> None:
        assert following(book()) is None

    @pytest.mark.parametrize(
        "controls", list(permutations([control(1, 600), control(2, 100), control(5, 300)]))
    )
    def test_what_is_due_passes_a_lower_number_that_is_not(self, controls: tuple[Control, ...]) -> None:
        for rows, number in ((0, 1), (99, 1), (100, 2), (599, 2), (600, 1)):
            due = book(*controls, rows=rows).next_control()
            assert due is not None
            assert due.number == number, f"after {rows} rows"

    def test_of_two_that_are_due_the_lower_number_goes_first_though_its_row_is_later(self) -> None:
        due = book(control(7, 10), control(4, 40), control(6, 20), rows=40).next_control()
        assert due is not None
        assert due.number == 4

    def test_a_swap_without_its_model_is_as_if_it_were_not_known(self) -> None:
        model, swap = swap_to(b"weights", book="book", number=1, effective_from=0)
        assert isinstance(swap, Control)
        state = book(swap, control(2, 50))
        assert following(state) == (2, 50)
        state.hold(model)
        assert following(state) == (1, 0)


class TestNextTime:
    """The least row at which any known control is due, whatever its number: a step must end before it."""

    @pytest.mark.parametrize(
        "controls", list(permutations([control(1, 600), control(2, 100), control(3, 350)]))
    )
    def test_a_halt_does_not_wait_behind_a_resume_that_is_planned(
        self, controls: tuple[Control, ...]
    ) -> None:
        assert book(*controls).next_time() == 100
        assert book(*controls, rows=40).next_time() == 100

    def test_what_is_for_a_row_that_is_decided_is_due_at_the_next(self) -> None:
        assert book(control(1, 600), control(2, 100), rows=250).next_time() == 250

    def test_one_control_is_applied_a_row(self) -> None:
        state = book(control(1, 0), control(2, 0), control(3, 90), rows=30)
        state.applied(control(1, 0), 30)
        assert following(state) == (2, 31)


class TestBarrier:
    """Steps end where a control begins to rule, one control a step."""

    def test_numbers_that_fall_while_rows_rise_are_applied_by_row(self) -> None:
        rows, applied, start = 900, [], 0
        state = book(
            control(3, 500, "resume"), control(1, 700, "reduce-only"), control(2, 200), control(4, 800)
        )
        while start < rows:
            stop = barrier(state, start, rows)
            assert start < stop <= rows
            if state.ordered is not None:
                applied.append((state.ordered.number, start))
                state.applied(state.ordered, start)
            start = stop
            state.joint = state._joint(start)
        assert applied == [(2, 200), (3, 500), (4, 800)]  # 2 passes 1, which is for a later row
