"""Joining rows changes neither the rows nor what the stages make of them."""

from itertools import pairwise

from simulated_book import config, opening, table, ticks
from windvane.streams.coalesce import coalesced
from windvane.streams.events import Batch, BookClosed, Event, cut

ROWS = ticks(40)


def pieces(*edges: int) -> list[Event]:
    return [cut(ROWS, a, b) for a, b in pairwise(edges)]


class TestCoalesced:
    """`coalesced`: batches joined, nothing else changed."""

    def test_rows_that_follow_each_other_become_one_batch(self) -> None:
        (whole,) = coalesced(pieces(0, 1, 2, 17, 40))
        assert isinstance(whole, Batch)
        assert len(whole) == 40
        assert table([whole]).keys() == table([ROWS]).keys()
        assert (whole.seq == ROWS.seq).all()

    def test_nothing_is_joined_across_a_hole_or_an_opening(self) -> None:
        first, second = cut(ROWS, 0, 5), cut(ROWS, 6, 9)
        end = BookClosed(book="book", last=39)
        found = coalesced([opening(config()), first, second, end, cut(ROWS, 9, 12)])
        assert [len(e) if isinstance(e, Batch) else type(e).__name__ for e in found] == [
            "BookOpened",
            5,
            3,
            "BookClosed",
            3,
        ]

    def test_rows_seen_twice_stay_two_batches_in_their_order(self) -> None:
        found = coalesced([*pieces(0, 3, 6), *pieces(3, 6, 9)])
        assert [(e.first, e.last) for e in found if isinstance(e, Batch)] == [(0, 5), (3, 8)]

    def test_books_are_joined_each_for_itself(self) -> None:
        other = ticks(40, book="other")
        mixed: list[Event] = [e for k in range(40) for e in (cut(ROWS, k, k + 1), cut(other, k, k + 1))]
        found = coalesced(mixed)
        assert sorted((e.book, len(e)) for e in found if isinstance(e, Batch)) == [
            ("book", 40),
            ("other", 40),
        ]
