"""Rows that never come, and books that are opened late, twice or beside each other."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from simulated_book import config, opening, plain_run, same, table, ticks
from windvane.metamodel.base.config import Costs
from windvane.streams import topics
from windvane.streams.books import EARLY_RECORDS
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    GAP,
    BookClosed,
    BookOpened,
    Control,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Proposals,
    Ticks,
    cut,
)
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.joining import MOST_BEYOND

OPENED = opening(config())


def features(out: Sequence[Event]) -> list[Features]:
    return [e for e in out if isinstance(e, Features)]


def flags(out: Sequence[Event]) -> np.ndarray:
    """Flags of every row, by seq; fails where rows are not 0, 1, 2 ..."""
    rows = features(out)
    seq = np.concatenate([e.seq for e in rows])
    assert np.array_equal(seq, np.arange(len(seq)))
    return np.concatenate([e.flags for e in rows])


def refused(seen: list[tuple[topics.Topic, Event]]) -> int:
    return sum("open book-2 instead" in e.reason for _, e in seen if isinstance(e, DeadLetter))


class TestFeaturesBook:
    """Rows that are missing, early or never come: FeaturesBook and BookStage."""

    @pytest.mark.parametrize("cuts", [1, 1000, MOST_BEYOND])
    def test_a_missing_row_is_waited_for_until_too_many_rows_are_held(self, cuts: int) -> None:
        whole = ticks(MOST_BEYOND + 102)
        logic = FeaturesStage(None)
        out = logic.step([OPENED, cut(whole, 0, 100)])
        later = range(101, 101 + MOST_BEYOND, cuts)
        records = [cut(whole, at, min(at + cuts, 101 + MOST_BEYOND)) for at in later]
        out += logic.step(records)
        assert len(flags(out)) == 100  # MOST_BEYOND are held, one more is too many
        out += logic.step([cut(whole, 101 + MOST_BEYOND, 102 + MOST_BEYOND)])
        found = flags(out)
        assert len(found) == len(whole)
        assert np.flatnonzero(found & GAP).tolist() == [100]

    def test_a_missing_row_that_comes_in_time_leaves_no_trace(self) -> None:
        whole = ticks(2000)
        logic = FeaturesStage(None)
        out = logic.step([OPENED, cut(whole, 0, 100), cut(whole, 101, 2000)])
        out += logic.step([cut(whole, 100, 101)])
        same(table(out), table(FeaturesStage(None).step([OPENED, whole])))

    def test_a_row_that_comes_after_it_was_given_up_is_a_dead_letter_once(self) -> None:
        whole = ticks(MOST_BEYOND + 200)
        logic = FeaturesStage(None)
        out = logic.step([OPENED, cut(whole, 0, 100), cut(whole, 101, len(whole))])
        (letter,) = logic.step([cut(whole, 100, 101)])
        assert isinstance(letter, DeadLetter)
        assert "seq 100 of book book came after missing rows had been given up" in letter.reason
        assert logic.step([cut(whole, 100, 101)]) == []
        assert np.flatnonzero(flags(out) & GAP).tolist() == [100]

    def test_what_is_missing_when_the_book_closes_is_given_up_at_once(self) -> None:
        whole = ticks(700)
        lost = {0, 1, 50, 300, 301, 302, 600, 698, 699}
        stretches = [(2, 50), (51, 300), (303, 600), (601, 698)]
        events: list[Event] = [OPENED, *(cut(whole, a, b) for a, b in stretches)]
        out = FeaturesStage(None).step([*events, BookClosed(book="book", last=699)])
        found = flags(out)
        assert set(np.flatnonzero(found & GAP).tolist()) == lost
        assert out[0] == OPENED
        assert out[-1] == BookClosed(book="book", last=699)

    def test_a_gap_repeats_the_last_good_row_and_trades_nothing(self) -> None:
        whole = ticks(900)
        events: list[Event] = [
            OPENED,
            cut(whole, 0, 700),
            cut(whole, 710, 900),
            BookClosed(book="book", last=899),
        ]
        seen = [e for _, e in plain_run(events)]
        found = table(seen)
        rows, wanted = found["book Features"], found["book Proposals " + ",".join(OPENED.config.agents)]
        assert isinstance(rows, dict)
        assert isinstance(wanted, dict)
        for row in range(700, 710):
            for name in ("x", "price", "mid", "bid", "ask", "ts"):
                assert np.array_equal(rows[name][row], rows[name][699]), name
            assert np.array_equal(wanted["target"][row], wanted["target"][699])
            assert not wanted["confidence"][row].any()
        for kind in ("book Orders", "book Fills"):
            made = found[kind]
            assert isinstance(made, dict)
            assert not np.isin(made["seq"], np.arange(700, 710)).any(), kind

    @pytest.mark.parametrize("wire", [False, True])
    def test_a_book_of_which_no_row_ever_came_still_has_every_row(self, wire: bool) -> None:
        seen = plain_run([OPENED, BookClosed(book="book", last=4)], wire=wire)
        for kind in (Features, Proposals, Decisions):
            rows = [e for _, e in seen if isinstance(e, kind)]
            assert np.concatenate([e.seq for e in rows]).tolist() == [0, 1, 2, 3, 4], kind
        decided = [e for _, e in seen if isinstance(e, Decisions)]
        assert all(np.array_equal(e.equity, np.full(len(e), OPENED.config.capital)) for e in decided)

    def test_a_book_of_no_row_at_all_closes(self) -> None:
        seen = plain_run([OPENED, BookClosed(book="book", last=-1)])
        assert [(t.name, type(e)) for t, e in seen] == [
            ("ticks", BookOpened),
            ("features", BookOpened),
            ("ticks", BookClosed),
            ("features", BookClosed),
        ]

    def test_records_that_come_before_their_book_is_opened_are_held(self) -> None:
        logic = FeaturesStage(None)
        whole = ticks(EARLY_RECORDS + 3)
        letters = [e for i in range(len(whole)) for e in logic.step([cut(whole, i, i + 1)])]
        assert [type(e) for e in letters] == [DeadLetter] * 3
        assert "BookOpened" in str(letters[0])
        assert len(flags(logic.step([OPENED]))) == EARLY_RECORDS

    def test_the_same_opening_again_goes_on_and_another_names_a_free_book(self) -> None:
        whole = ticks(900)
        plain = plain_run([OPENED, whole, BookClosed(book="book", last=899)])
        seen: list[tuple[topics.Topic, Event]] = []
        runner = EmbeddedRunner(lambda topic, event: seen.append((topic, event)))
        runner.feed([OPENED, cut(whole, 0, 600), OPENED])
        other = opening(config(costs=Costs(fee_bp=3.0)))
        runner.feed([other])
        assert refused(seen) == 1
        runner.feed([OPENED, cut(whole, 600, 900), BookClosed(book="book", last=899), OPENED])
        kinds = {topics.DECISIONS.name, topics.ORDERS.name, topics.FILLS.name, topics.STATEMENTS.name}
        same(
            table(e for t, e in seen if t.name in kinds),
            table(e for t, e in plain if t.name in kinds),
        )
        runner.feed([other])
        assert refused(seen) == 2

    def test_the_name_offered_is_free(self) -> None:
        logic = FeaturesStage(None)
        logic.step([OPENED, opening(config(seed=1), "book-2")])
        (letter,) = logic.step([opening(config(seed=2))])
        assert "open book-3 instead" in str(letter)

    def test_a_row_or_a_closing_far_ahead_is_a_mistake_and_no_hole(self) -> None:
        logic = FeaturesStage(None)
        logic.step([OPENED, ticks(10)])
        far = msgspec.structs.replace(ticks(1), seq=np.array([10**15]))
        letters = logic.step([far, BookClosed(book="book", last=10**15)])
        assert [type(e) for e in letters] == [DeadLetter] * 2
        assert "seq 1000000000000000 is too far ahead" in str(letters[0])

    def test_a_closed_book_is_dropped_and_only_tells_of_what_people_order(self) -> None:
        whole = ticks(700)
        seen: list[Event] = []
        runner = EmbeddedRunner(lambda topic, event: seen.append(event))
        runner.feed([OPENED, whole, BookClosed(book="book", last=699)])
        stored = runner.snapshot()
        assert b"taken" not in stored  # no state is left, only that the book was
        runner = EmbeddedRunner(lambda topic, event: seen.append(event), snapshot=stored)
        told = len(seen)
        halt = Control(book="book", number=1, action="halt", effective_from=0)
        runner.control([halt])
        runner.feed([cut(whole, 300, 700), BookClosed(book="book", last=699)])
        assert [type(e) for e in seen[told:]] == [
            Control,
            DeadLetter,
            Ticks,
            BookClosed,
        ]  # beside what was sent
        assert "control 1 of book book (halt, at once) is not applied: the book is closed" in str(
            seen[told + 1]
        )

    def test_books_side_by_side_are_what_each_is_alone(self) -> None:
        settings = {"a": config(), "b": config(agents=("buy_and_hold", "vol_trend"), costs=Costs(delay=0))}
        settings["c"] = config(seed=4)
        rows = {book: ticks(800 + 50 * i, seed=i, book=book) for i, book in enumerate(settings)}
        order = Control(book="c", number=1, action="halt", effective_from=650)
        seen: list[tuple[topics.Topic, Event]] = []
        runner = EmbeddedRunner(lambda topic, event: seen.append((topic, event)))
        runner.feed([opening(s, book) for book, s in settings.items()])
        runner.control([order])
        rng = np.random.default_rng(0)
        places = dict.fromkeys(settings, 0)
        while any(at < len(rows[book]) for book, at in places.items()):
            sent: list[Event] = []
            for book in rng.permutation(list(settings)).tolist():
                at = places[book]
                places[book] = stop = min(len(rows[book]), at + int(rng.integers(1, 120)))
                if stop > at:
                    sent.append(cut(rows[book], at, stop))
                if stop > at and stop == len(rows[book]):
                    sent.append(BookClosed(book=book, last=stop - 1))
            runner.feed(sent)
        for book, s in settings.items():
            end = BookClosed(book=book, last=len(rows[book]) - 1)
            alone = plain_run([opening(s, book), rows[book], end], [order] if book == "c" else [])
            quiet = (topics.TICKS.name,)
            same(
                table(e for t, e in seen if e.book == book and t.name not in quiet),
                table(e for t, e in alone if t.name not in quiet),
            )

    def test_columns_may_come_and_go(self) -> None:
        whole = ticks(900)
        bare = msgspec.structs.replace(whole, bid=None, ask=None, bid_size=None, ask_size=None)
        events: list[Event] = [OPENED, cut(whole, 0, 550), cut(bare, 550, 600), cut(whole, 600, 900)]
        for wire in (False, True):
            seen = plain_run(events, wire=wire)
            assert sum(len(e) for _, e in seen if isinstance(e, Decisions)) == 900
