"""What stages say of their books is what their events said, and the same after a restart, however silent the book."""

from typing import Any

import msgspec

from simulated_book import config, opening, plain_run, ticks
from windvane.metamodel.trading.control import STATES
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    BookClosed,
    BookOpened,
    Control,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    cut,
)
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.snapshot import load_books
from windvane.streams.summaries import UNKNOWN, BookSummary, key_of

ROWS = 700
OPENED = opening(config())
_READ = BookOpened | Features | Proposals | LearnerUpdate


def of(stage: Any, book: str = "book") -> BookSummary:
    return next(one for one in stage.summaries() if one.book == book)


def ensemble(*controls: Control, last: int = ROWS) -> tuple[EnsembleStage, list[Event]]:
    """A stage that has decided rows, and what it said."""
    events = [e for _, e in plain_run([OPENED, ticks(last)]) if isinstance(e, _READ)]
    stage = EnsembleStage(None)
    return stage, stage.step([*controls, *events])


def test_the_summary_is_what_the_last_decision_says() -> None:
    stage, said = ensemble(Control(book="book", number=4, action="reduce-only", effective_from=500))
    last = [event for event in said if isinstance(event, Decisions)][-1]
    told = of(stage)
    assert (told.rows, told.reached, told.ts) == (last.last + 1, last.last + 1, int(last.ts[-1]))
    assert (told.closed, told.settings) == (False, key_of(OPENED))
    trading = told.trading
    assert trading is not None
    assert trading.state == STATES[int(last.state[-1])] == "reduce-only"
    assert (trading.control, trading.action, trading.control_row) == (4, "reduce-only", 500)
    assert (trading.equity, trading.learner) == (float(last.equity[-1]), int(last.learner[-1]))
    assert abs(trading.position - float(last.position[-1])) < 1e-12
    assert trading.verdict == int(last.verdicts[-1])


def test_a_restart_forgets_nothing_but_the_last_verdict() -> None:
    stage, _ = ensemble(Control(book="book", number=1, action="halt", effective_from=300))
    told, again = of(stage), of(EnsembleStage(stage.snapshot()))
    assert told.trading is not None
    assert told.trading.state == "halted"
    assert again == msgspec.structs.replace(told, trading=msgspec.structs.replace(told.trading, verdict=None))


def test_a_flattening_book_says_so_until_it_has_closed() -> None:
    stage, said = ensemble(Control(book="book", number=1, action="flatten", effective_from=ROWS - 1))
    position = float([event for event in said if isinstance(event, Decisions)][-1].position[-1])
    trading = of(stage).trading
    assert trading is not None
    assert trading.state == ("flattening" if position else "halted")


def test_a_closed_book_keeps_its_rows_and_an_older_state_does_not_know_them() -> None:
    stage = FeaturesStage(None)
    stage.step([OPENED, ticks(30), BookClosed(book="book", last=29)])
    for one in (stage, FeaturesStage(stage.snapshot())):
        assert of(one) == BookSummary("book", key_of(OPENED), 30, 30, 0, closed=True)
    assert load_books(stage.snapshot()).ended == {"book": 30}
    stage._ended = {}
    assert of(stage).rows == UNKNOWN


def test_rows_beyond_a_hole_are_reached_and_not_worked_off() -> None:
    stage = FeaturesStage(None)
    rows = ticks(60)
    stage.step([OPENED, cut(rows, 0, 20), cut(rows, 50, 60)])
    assert (of(stage).rows, of(stage).reached, of(stage).ts) == (20, 60, int(rows.ts[19]))
