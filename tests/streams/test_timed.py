"""Timed rounds: who is waited for, who sleeps, and what of it is written down and can be followed again."""

from collections.abc import Callable

import numpy as np
import pytest
from timed_book import BOTH, FIRST, LOCKSTEP, NAMES, NONE, ONE, ROWS, Book, source

from simulated_book import config, controls, opening, same, table
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.metamodel.trading.risk import Gate
from windvane.streams.events import (
    BookClosed,
    Control,
    Orders,
    Statements,
    cut,
)
from windvane.streams.topics import FEATURES, PROPOSALS

SLEEP_AND_WAKE: tuple[Callable[[Book], Book], ...] = (
    lambda book: book.features(0, 600).first(0, 600).second(0, 600),
    lambda book: book.features(600, 650).first(600, 650).close(650),
    lambda book: book.features(650, 700).first(650, 690),
    lambda book: book.second(600, 690),
    lambda book: book.features(700, 710).first(690, 710).second(690, 710),
)


class TestTimedBook:
    """An ensemble book whose rounds close by the clock: TimedJoint."""

    def test_with_every_answer_in_it_is_the_lockstep_book(self) -> None:
        features, first, second, updates = source()
        inputs = [*controls(), *updates, features, first, second, BookClosed(book="book", last=ROWS - 1)]
        # where the price leaves its level, history may go on by itself, and a live book waits for a person
        chosen = [opening(config(closing=c, quorum_lag=100, on_halt="stop")) for c in ("timed", "lockstep")]
        timed, lockstep = (Book(opened).add(*inputs).results() for opened in chosen)
        rows = timed["book Decisions"]
        assert isinstance(rows, dict)
        assert rows.pop("awake").tolist() == [[1] * len(NAMES)] * ROWS
        rows["awake"] = np.array(["None"])
        same(timed, lockstep)

    def test_a_round_waits_for_all_who_are_awake_and_closes_when_told(self) -> None:
        book = Book().features(0, 50).first(0, 60)
        assert book.rows == 0
        assert book.waiting == (0, 50)
        book.second(0, 20)
        assert (book.rows, book.waiting) == (20, (20, 50))
        book.close(21)
        assert (book.rows, book.waiting) == (50, None)
        assert book.awake() == [BOTH] * 20 + [ONE] * 30

    def test_rounds_of_rows_that_are_not_there_are_not_closed(self) -> None:
        book = Book().features(0, 10).close(1000)
        assert (book.rows, book.awake()) == (10, [NONE] * 10)
        book = Book().features(0, 10).close(5).first(0, 20).second(0, 20)
        assert book.awake() == [NONE] * 10
        book.features(10, 20)
        assert (book.rows, book.awake()) == (20, [NONE] * 10 + [BOTH] * 10)

    def test_a_lockstep_book_is_never_closed(self) -> None:
        book = Book(LOCKSTEP).features(0, 50).first(0, 50).close(50)
        assert (book.rows, book.waiting) == (0, None)
        assert book.second(0, 50).decided.awake is None

    def test_who_has_caught_up_is_waited_for_again(self) -> None:
        book = Book().features(0, 50).first(0, 50).close(50).features(50, 60).first(50, 58)
        assert book.rows == 58
        book.second(0, 57)  # up to seq 56: it has not answered row 57
        assert book.features(60, 70).rows == 58
        book.second(57, 58)
        book.first(58, 70)
        assert book.rows == 58
        book.second(58, 70)
        assert book.awake() == [ONE] * 58 + [BOTH] * 12

    def test_who_has_answered_nearly_all_that_is_closed_is_waited_for(self) -> None:
        book = Book().features(0, 50).first(0, 50).close(50).second(0, 18).features(50, 60).first(50, 60)
        assert book.awake() == [ONE] * 50

    def test_who_answers_rows_that_are_closed_stays_asleep(self) -> None:
        book = Book().features(0, 50).first(0, 50).close(50).second(0, 17).features(50, 60).first(50, 60)
        assert book.awake() == [ONE] * 60

    def test_with_nobody_awake_each_round_closes_on_its_row(self) -> None:
        book = Book().features(0, 5).close(5).features(5, 30)
        assert (book.rows, book.awake()) == (30, [NONE] * 30)

    def test_a_sleeper_repeats_its_last_target_without_confidence_and_weighs_nothing(self) -> None:
        first = source()[1]
        book = Book().features(0, 900).first(0, 900).second(0, 800).close(900)
        weights = book.decided.weights
        assert (weights[800:, len(FIRST) :] == 0.0).all()
        np.testing.assert_allclose(weights[800:, : len(FIRST)].sum(axis=1), 1.0, atol=1e-12)
        wanted = book.decided.wanted
        for t in range(800, 900):
            awake, mine = weights[t, : len(FIRST)], first.target[t]
            total = awake @ mine
            width = WeighingConfig().no_trade_band * np.sqrt(awake @ (mine - total) ** 2)
            assert wanted[t] == pytest.approx(np.clip(wanted[t - 1], total - width, total + width), abs=1e-12)

    def test_with_nobody_awake_the_position_is_held_and_the_verdict_says_so(self) -> None:
        book = Book().features(0, 900).first(0, 850).second(0, 850).close(900)
        rows = book.decided
        bit = Gate.NO_AGENTS
        good = rows.flags & REPEATED == 0
        nobody = np.arange(900) >= 850
        assert ((rows.verdicts & bit != 0) == (good & nobody & (rows.flags & WARMUP == 0))).all()
        assert (rows.weights[nobody] == 0.0).all()
        orders = [
            (seq, reduces)
            for e in book.out
            if isinstance(e, Orders)
            for seq, reduces in zip(e.seq.tolist(), e.reduce_only.tolist(), strict=True)
        ]
        assert any(seq < 850 for seq, _ in orders)
        assert all(reduces for seq, reduces in orders if seq >= 850)
        assert rows.position[849] != 0.0
        settled = rows.position[860:]
        qty = settled / rows.mid[860:]
        np.testing.assert_allclose(qty, qty[0], rtol=1e-9)
        np.testing.assert_allclose(rows.wanted[860:], settled, rtol=1e-9)

    @pytest.mark.parametrize("before", range(1, len(SLEEP_AND_WAKE)))
    def test_a_snapshot_holds_who_sleeps_and_the_targets_that_stand(self, before: int) -> None:
        whole = Book()
        for act in SLEEP_AND_WAKE:
            act(whole)
        assert whole.awake()[600:] == [ONE] * 90 + [BOTH] * 20
        begun = Book()
        for act in SLEEP_AND_WAKE[:before]:
            act(begun)
        done, there = begun.rows, (begun.waiting or (0, 0))[1]
        again = Book(snapshot=begun.stage.snapshot())
        if done < there:  # what is not used yet is read again
            again.features(done, there)
        for act in SLEEP_AND_WAKE[before:]:
            act(again)
        same(table([again.decided]), table([cut(whole.decided, done, len(whole.decided))]))

    def test_versions_and_controls_apply_when_they_are_there_and_nothing_waits_for_them(self) -> None:
        updates = source()[3]
        book = Book().features(0, 900).first(0, 900).second(0, 900)
        assert book.rows == 900
        assert book.decided.learner.max() == 0
        book.add(*updates[:3], Control(book="book", number=1, action="halt", effective_from=600))
        book.features(900, 950).first(900, 950).second(900, 950)
        rows = book.decided
        assert rows.learner[900:].tolist() == [3] * 50
        assert rows.controls[899:901].tolist() == [0, 1]
        assert rows.state[900] == 2
        early = Book().add(updates[0]).features(0, 900).first(0, 900).second(0, 900).decided
        assert int(np.argmax(early.learner)) == updates[0].effective_from

    def test_what_is_waited_for_is_not_paused_and_never_the_learner(self) -> None:
        book = Book()
        assert book.waits == {FEATURES.name}
        book.features(0, 50)
        assert book.waits == {PROPOSALS.name, FEATURES.name}  # more features would close the round
        book.features(50, 101)
        assert book.waits == {PROPOSALS.name}
        book.first(0, 101).second(0, 101)
        assert book.waits == {FEATURES.name}

    def test_a_closed_timed_book_states_its_last_day_once_its_rounds_are_closed(self) -> None:
        book = Book().features(0, 700).first(0, 700).second(0, 600).add(BookClosed(book="book", last=699))
        assert not any(isinstance(e, Statements) and e.seq[-1] == 699 for e in book.out)
        book.close(700)
        assert any(isinstance(e, Statements) and e.seq[-1] == 699 for e in book.out)
        assert book.stage.open_rounds() == {}
