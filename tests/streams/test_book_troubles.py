"""What a stage says of feeds that begin anew, names used again, lost openings, and agents that nobody runs."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from timed_book import FIRST, NAMES, SECOND, Book

from simulated_book import config, opening, ticks
from windvane.streams.codec import to_json
from windvane.streams.events import BookClosed, DeadLetter, Event, Ticks, cut
from windvane.streams.features_stage import FeaturesStage
from windvane.streams.seen import FIRST as REMEMBERED
from windvane.streams.seen import LATEST, Seen
from windvane.streams.topics import FEATURES, TICKS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.troubles import Refused, Trouble
from windvane.streams.worker import StageWorker

OPENED = opening(config())
ROWS = 700


def moved(rows: Ticks, ns: int = 0, first: int = 0) -> Ticks:
    """The same market at another time, numbered from `first`."""
    return msgspec.structs.replace(rows, ts=rows.ts + ns, seq=np.arange(first, first + len(rows)))


def reasons(out: Sequence[Event]) -> list[str]:
    return [e.reason for e in out if isinstance(e, DeadLetter)]


def fed(rows: Ticks) -> FeaturesStage:
    logic = FeaturesStage(None)
    logic.step([OPENED, rows])
    return logic


class TestFeedThatBeginsAnew:
    """Rows below the next one, which are copies or not."""

    @pytest.mark.parametrize("again", [False, True], ids=["running", "restarted"])
    def test_copies_are_dropped_without_a_word(self, again: bool) -> None:
        whole = ticks(ROWS)
        logic = fed(whole)
        if again:
            logic = FeaturesStage(logic.snapshot())
        copies = [cut(whole, at, at + 37) for at in range(0, ROWS, 37)]
        assert logic.step([OPENED, *copies, whole]) == []
        assert logic.troubles() == {}

    @pytest.mark.parametrize("each", [1, 50])
    def test_a_feed_that_starts_again_at_0_is_told_of_once(self, each: int) -> None:
        whole = ticks(ROWS)
        logic, later = fed(cut(whole, 0, 600)), moved(cut(whole, 0, 300), ns=10**14)
        out: list[Event] = []
        for at in range(0, 300, each):
            out += logic.step([cut(later, at, at + each)])
        (reason,) = reasons(out)
        assert len(out) == 1
        assert (
            "seq 0 of book book came again with another time or price, and the book is at seq 600" in reason
        )
        assert "goes on after the last seq on the topic, or opens a book of another name" in reason
        assert logic.troubles()["book"] == Trouble("feed_restarted", reason)

    def test_rows_that_are_not_remembered_are_known_by_their_time(self) -> None:
        whole = ticks(ROWS)
        logic = fed(whole)
        middle = cut(whole, 200, 220)
        assert REMEMBERED < 200 < 220 < ROWS - LATEST
        assert logic.step([middle]) == []
        assert len(logic.step([moved(middle, ns=10**17, first=200)])) == 1

    def test_it_is_told_of_where_both_come_in_one_step(self) -> None:
        """So they do where the stage was away meanwhile; the rows that follow go on."""
        whole = ticks(ROWS)
        again = moved(cut(whole, 0, 100), ns=10**14)
        logic = FeaturesStage(None)
        singles = [cut(rows, at, at + 1) for rows in (cut(whole, 0, 100), again) for at in range(100)]
        out = logic.step([OPENED, *singles, cut(whole, 100, 110)])
        assert len(reasons(out)) == 1
        assert logic.progress("book").next_seq == 110

    def test_another_price_of_the_same_row_is_told_of(self) -> None:
        whole = ticks(ROWS)
        for at in (3, ROWS - 5):
            other = cut(whole, at, at + 1)
            assert len(fed(whole).step([msgspec.structs.replace(other, price=other.price + 1.0)])) == 1

    def test_it_goes_on_and_the_trouble_is_over_when_nothing_is_refused_any_more(self) -> None:
        whole = ticks(ROWS)
        logic = fed(cut(whole, 0, 600))
        logic.step([moved(cut(whole, 0, 10), ns=10**14)])
        logic.calm()
        assert list(logic.troubles()) == ["book"]
        assert [e.last for e in logic.step([cut(whole, 600, ROWS)]) if hasattr(e, "last")] == [ROWS - 1]
        logic.calm()
        assert logic.troubles() == {}
        assert len(logic.step([moved(cut(whole, 0, 10), ns=10**14)])) == 1  # and told of again

    def test_a_state_of_an_older_release_remembers_nothing_and_blames_nobody(self) -> None:
        whole = ticks(ROWS)
        fresh = Seen()
        assert not fresh.others(whole, ROWS)
        assert not fresh.late(whole)


class TestNameUsedAgain:
    """Rows of a book that is closed."""

    def closed(self, rows: Ticks) -> FeaturesStage:
        logic = fed(rows)
        logic.step([BookClosed(book="book", last=len(rows) - 1)])
        return FeaturesStage(logic.snapshot())

    @pytest.mark.parametrize("rows", [1, 5, 16, 17, ROWS])
    def test_copies_are_dropped_without_a_word(self, rows: int) -> None:
        whole = ticks(rows)
        logic = self.closed(whole)
        assert (
            logic.step([OPENED, whole, cut(whole, rows - 1, rows), BookClosed(book="book", last=rows - 1)])
            == []
        )
        assert logic.troubles() == {}

    def test_other_rows_are_told_of_once(self) -> None:
        whole = ticks(ROWS)
        for rows in (
            moved(cut(whole, 0, 50), ns=10**14),
            moved(cut(whole, 0, 50), first=ROWS),
            moved(cut(whole, 0, 50), first=ROWS - 25),
        ):
            logic = self.closed(whole)
            out = [e for at in range(50) for e in logic.step([OPENED, cut(rows, at, at + 1)])]
            (reason,) = reasons(out)
            assert "book book is closed, and rows come that are none of it: a name is used once" in reason
            assert logic.troubles()["book"].code == "name_used_again"

    def test_an_empty_book_that_was_closed_knows_no_rows(self) -> None:
        logic = FeaturesStage(None)
        logic.step([OPENED, BookClosed(book="book", last=-1)])
        assert len(FeaturesStage(logic.snapshot()).step([ticks(3)])) == 1


class TestOpeningLost:
    """Rows of a book whose opening is older than what is kept, and of which no state is there."""

    def worker(self, begins: int, first: int) -> tuple[StageWorker, list[str]]:
        worker = StageWorker(TOPOLOGY[0], "here")
        worker.begin_at(TICKS, begins)
        rows = moved(ticks(200), first=first)
        for at in range(200):
            worker.receive(TICKS, begins + at, to_json(cut(rows, at, at + 1)))
        sent = worker.step()
        for _ in range(2):
            worker.give_up_early()
            sent += worker.step()
        return worker, [record.raw.decode() for record in sent]

    def test_it_is_said_once_with_what_to_do(self) -> None:
        worker, sent = self.worker(begins=1000, first=500)
        (letter,) = sent
        assert "the opening of book book is no longer on its topic, and no stored state has it" in letter
        assert "put the stored states of this stage back, or open a book of another name" in letter
        assert worker.troubles()["book"].code == "opening_lost"
        assert StageWorker(TOPOLOGY[0], "here", worker.save({})).positions == {TICKS.name: 1200}

    @pytest.mark.parametrize(("begins", "first"), [(0, 500), (1000, 0)], ids=["whole log", "first row"])
    def test_a_book_that_was_just_never_opened_is_told_of_as_that(self, begins: int, first: int) -> None:
        worker, sent = self.worker(begins, first)
        assert len(sent) == 200
        assert all("was never opened: send BookOpened first" in letter for letter in sent)
        assert worker.troubles() == {}

    def test_it_is_the_features_of_other_stages(self) -> None:
        for stage in TOPOLOGY[2:]:
            worker = StageWorker(stage, "here")
            worker.begin_at(stage.reads[-1], 1000)
            assert not worker.logic._openings_lost  # type: ignore[attr-defined]
            worker.begin_at(FEATURES, 1000)
            assert worker.logic._openings_lost  # type: ignore[attr-defined]


class TestAgentsNobodyRuns:
    """Books of which some agents' proposals do not come: EnsembleBook."""

    def trouble(self, book: Book) -> tuple[int, str]:
        (lasting,) = book.stage.lasting().values()
        assert lasting.trouble.code == "no_proposals"
        return lasting.mark, lasting.trouble.text

    def test_a_lockstep_book_names_the_agents_that_it_waits_for(self) -> None:
        book = Book(opening(config()))
        assert book.stage.lasting() == {}  # no features, so nothing waits for agents
        book.features(0, 100).first(0, 100)
        mark, text = self.trouble(book)
        assert (
            mark,
            f"no worker proposes for agents {', '.join(SECOND)}, so book book waits at seq 0" in text,
        ) == (
            0,
            True,
        )
        assert f"start `windvane worker proposals:{','.join(SECOND)}`" in text
        book.second(0, 40)
        assert self.trouble(book)[0] == 40
        book.second(40, 100)
        assert book.stage.lasting() == {}

    def test_of_remote_ones_the_programs_are_to_be_started(self) -> None:
        kinds = tuple("remote" if name in SECOND[:1] else name for name in NAMES)
        book = Book(opening(config(agents=NAMES, kinds=kinds))).features(0, 100).first(0, 100)
        start = f"start `windvane worker proposals:{','.join(SECOND[1:])}`"
        assert start in self.trouble(book)[1]
        assert f"start what answers for {SECOND[0]} from elsewhere" in self.trouble(book)[1]

    def test_a_timed_book_is_decided_without_them_and_says_so(self) -> None:
        book = Book().features(0, 100).first(0, 100).close(100)
        mark, text = self.trouble(book)
        assert (mark, f"agents {', '.join(SECOND)}, so book book is decided without them" in text) == (
            -1,
            True,
        )
        book.features(100, 110).first(100, 110).close(110)
        assert self.trouble(book)[0] == mark, "it goes on, and is the same trouble"
        book.second(0, 110).features(110, 111).first(110, 111).second(110, 111)
        assert book.stage.lasting() == {}

    def test_a_timed_book_that_nobody_proposes_for_says_so(self) -> None:
        book = Book().features(0, 50).close(50)
        assert (book.rows, set(FIRST) <= set(NAMES)) == (50, True)
        assert (
            f"agents {', '.join(NAMES)}, so book book is decided without any agent" in self.trouble(book)[1]
        )


class TestRefused:
    """What is told of once and stands as long as it is renewed."""

    def test_it_is_new_once_and_over_when_two_calls_found_nothing(self) -> None:
        refused, one, other = Refused(), Trouble("a", "first"), Trouble("b", "second")
        assert [refused.add("book", one), refused.add("book", one._replace(text="again"))] == [True, False]
        assert refused.troubles == {"book": one}
        assert refused.add("book", other)
        refused.calm()
        assert refused.troubles == {"book": other}
        refused.calm()
        assert refused.troubles == {}
        assert refused.add("book", other)
