"""How long records gather: by the number of books that have rows, whatever their speed."""

import pytest

from windvane.infra.kafka.broker.clients import Fetching
from windvane.infra.kafka.worker.gathering import Gathering, wait_for


class Fetcher:
    _fetch_min_bytes, _fetch_max_wait_ms = Fetching.usual(patient=False)


class Reader:
    """What of a started reader says when a fetch is answered."""

    def __init__(self) -> None:
        self._fetcher = Fetcher()

    @property
    def fetching(self) -> tuple[int, int]:
        return self._fetcher._fetch_min_bytes, self._fetcher._fetch_max_wait_ms


class Place:
    """A partition whose steps have records of so many books, and a clock that the test turns."""

    def __init__(
        self, *, patient: bool = False, partition: int = 0, crowd: dict[int, int] | None = None
    ) -> None:
        self.now = 0.0
        self.reader = Reader()
        self.gathering = Gathering(
            self.reader, partition, patient=patient, crowd=crowd, clock=lambda: self.now
        )

    def second(self, books: int, turns: int = 10) -> tuple[int, int]:
        """A second in which every step has records of a few of the books; returns when fetches are answered then."""
        for turn in range(turns):
            self.now += 1.01 / turns
            self.gathering.note(f"book-{k}" for k in range(turn, books, turns))
        return self.reader.fetching


class TestGathering:
    @pytest.mark.parametrize("books", [1, 25, 128])
    def test_few_books_never_wait(self, books: int) -> None:
        assert Place().second(books) == (1, 250)

    def test_one_book_that_is_fast_does_not_wait(self) -> None:
        assert Place().second(1, turns=200) == (1, 250)

    def test_many_books_wait_for_each_other_and_no_longer_than_a_bound(self) -> None:
        waits = [Place().second(books)[1] for books in (150, 200, 500, 5000)]
        assert waits == [9, 29, 80, 80]
        assert wait_for(10**6) == 0.08

    def test_books_of_all_partitions_of_a_worker_count(self) -> None:
        """They share its processor, however they are spread."""
        crowd: dict[int, int] = {}
        places = [Place(partition=k, crowd=crowd) for k in range(4)]
        first = [place.second(50)[1] for place in places]
        assert first == [250, 250, 9, 29]
        assert [place.second(50)[1] for place in places] == [29] * 4
        del crowd[0], crowd[1]  # another worker has them now
        assert places[3].second(50) == (1, 250)

    def test_a_fetch_that_has_much_is_answered_at_once(self) -> None:
        assert Place().second(500)[0] == 1 << 20

    def test_a_stage_that_no_row_waits_for_waits_longer(self) -> None:
        assert Place(patient=True).second(500) == (1 << 20, 320)
        assert Place(patient=True).second(1) == (16_384, 250)

    @pytest.mark.parametrize("books", [129, 140, 150, 200, 1000])
    def test_more_books_never_make_a_patient_stage_less_patient(self, books: int) -> None:
        assert Place(patient=True).second(books)[1] >= Place(patient=True).second(1)[1]

    @pytest.mark.parametrize("patient", [False, True])
    def test_where_nothing_comes_a_fetch_waits_long_for_the_first_record(self, patient: bool) -> None:
        place = Place(patient=patient)
        assert place.second(0) == (1, 1000)
        assert place.second(1) == Fetching.usual(patient=patient)

    def test_what_a_pair_needs_is_waited_for_no_longer_than_usual(self) -> None:
        place = Place()
        place.second(0)
        place.gathering.note(["book"], least_bytes=1200)
        assert place.reader.fetching == (1200, 250)
        place.gathering.note(["book"])
        assert place.reader.fetching == (1, 1000)

    def test_a_fetch_that_waits_for_more_does_not_wait_for_a_pair(self) -> None:
        place = Place()
        fetching = place.second(500)
        place.gathering.note(["book"], least_bytes=1200)
        assert place.reader.fetching == fetching

    def test_where_the_books_have_gone_nobody_waits_any_more(self) -> None:
        place = Place()
        assert place.second(500) != (1, 250)
        assert place.second(3) == (1, 250)
