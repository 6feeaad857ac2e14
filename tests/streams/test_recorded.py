"""Recorded choices: the same again, whatever comes when."""

import pytest
from timed_book import BOTH, NONE, ONE, TIMED, Book, source

from as_recorded import as_recorded
from simulated_book import controls, same, table
from windvane.streams.ensemble_stage import EnsembleStage
from windvane.streams.events import (
    Batch,
    Decisions,
    Event,
    cut,
)
from windvane.streams.topics import CONTROL, LEARNER, MODELS, PROPOSALS


def recorded_run() -> tuple[Book, list[Event]]:
    """A run with sleepers, a late version and a late control; and its inputs."""
    features, first, second, updates = source()
    book = Book().features(0, 700).first(0, 650).second(0, 600).close(640)
    book.close(700).second(600, 700).first(650, 720).features(700, 720).second(700, 720)
    book.add(*updates[:2], *controls()[:2]).features(720, 800).second(720, 800).close(760).first(720, 800)
    book.features(800, 900).first(800, 900).second(800, 900)
    return book, [
        *controls()[:2],
        *updates[:2],
        cut(second, 0, 900),
        cut(first, 0, 900),
        cut(features, 0, 900),
    ]


class TestRecorded:
    """Recorded choices, made again by EnsembleBook."""

    @pytest.mark.parametrize("order", [1, -1])
    def test_recorded_choices_give_the_run_again_whatever_the_timing(self, order: int) -> None:
        book, inputs = recorded_run()
        mask = book.awake()
        assert {BOTH, ONE, NONE, (False, True)} <= set(mask)
        assert book.decided.learner.max() == 2
        assert book.decided.controls.max() == 2
        pieces = [e for e in book.out if isinstance(e, Decisions)]
        again = as_recorded(TIMED, pieces, inputs[::order])
        same(table(e for e in again if isinstance(e, Batch)), book.results())

    def test_who_was_awake_is_waited_for_and_nobody_else(self) -> None:
        book, _ = recorded_run()
        asleep = [i for i, pair in enumerate(book.awake()) if pair == ONE]
        follower = Book()
        follower.stage.follow(book.decided)
        follower.features(0, 900).first(0, 900)
        assert (follower.rows, follower.waiting) == (0, None)
        assert follower.waits == {PROPOSALS.name}
        assert follower.close(900).rows == 0
        follower.second(0, asleep[0])
        assert follower.rows == next(i for i in range(asleep[0], 900) if book.awake()[i][1])

    def test_a_version_and_a_control_that_were_used_are_waited_for(self) -> None:
        updates = source()[3]
        run = Book().add(updates[0]).features(0, 600).first(0, 600).second(0, 600)
        run.add(controls()[0]).features(600, 700).first(600, 700).second(600, 700)
        follower = Book()
        follower.stage.follow(run.decided)
        follower.features(0, 700).first(0, 700).second(0, 700)
        assert follower.rows == updates[0].effective_from
        assert follower.waits == {LEARNER.name, CONTROL.name, MODELS.name}
        follower.add(*updates)
        assert follower.rows == 600
        follower.add(*controls())
        assert follower.rows == 700
        same(follower.results(), run.results())

    def test_after_the_record_it_goes_on_with_the_sleepers_of_its_last_row(self) -> None:
        run = Book().features(0, 650).first(0, 650).second(0, 600).close(650)
        follower = Book()
        follower.stage.follow(run.decided)
        follower.features(0, 680).first(0, 660).second(0, 610)
        assert follower.awake() == [BOTH] * 600 + [ONE] * 60
        assert follower.waiting == (660, 680)

    def test_choices_are_kept_until_the_book_is_opened(self) -> None:
        run = Book().features(0, 650).first(0, 650).second(0, 600).close(650)
        stage = EnsembleStage(None)
        for e in run.out:
            if isinstance(e, Decisions):
                stage.follow(e)
        features, first, second, _ = source()
        out = stage.step([TIMED, cut(second, 0, 700), cut(first, 0, 650), cut(features, 0, 650)])
        same(table(e for e in out if isinstance(e, Decisions)), table([run.decided]))
