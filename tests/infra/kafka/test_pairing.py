"""When a stage that joins is woken: with the second half of a row, and never later than without pairing."""

from collections.abc import Mapping

import pytest

from windvane.infra.kafka.worker.pairing import Pairing
from windvane.streams.many_rows import Delivered
from windvane.streams.topics import CONTROL, FEATURES, LEARNER, PROPOSALS, TICKS, Topic

ENSEMBLE = (FEATURES, PROPOSALS, LEARNER, CONTROL)
ROW, PAIR = 1000, 400  # bytes of the features and of the proposals of a row
COMPLETE, PART = (FEATURES.name,), (PROPOSALS.name,)


class Place:
    """A partition of a stage, what the next row of each of its books lacks, and a clock that the test turns."""

    def __init__(self, sources: tuple[Topic, ...] = ENSEMBLE) -> None:
        self.now = 0.0
        self.lacks: dict[str, tuple[str, ...]] = {}
        self.pairing = Pairing(sources, clock=lambda: self.now)

    def turn(self, records: Mapping[Topic, list[int]], **lacks: tuple[str, ...]) -> int:
        """A turn with records of these sizes, behind which books lack this; returns the bytes to wait for."""
        for topic, sizes in records.items():
            self.pairing.received(topic, [Delivered(k, b"x" * size, 0) for k, size in enumerate(sizes)])
        self.lacks |= lacks
        return self.pairing.least_bytes(lacks, lambda book: self.lacks.get(book, ()))


def test_behind_a_whole_row_the_next_fetch_waits_for_more_than_features() -> None:
    least = Place().turn({FEATURES: [ROW], PROPOSALS: [PAIR]}, book=COMPLETE)
    assert ROW + 150 <= least < ROW + PAIR


@pytest.mark.parametrize("lacking", [PART, (PROPOSALS.name, FEATURES.name), (LEARNER.name,), (CONTROL.name,)])
def test_a_row_that_has_come_in_part_waits_for_nothing_but_what_it_lacks(lacking: tuple[str, ...]) -> None:
    place = Place()
    pair = {FEATURES: [ROW], PROPOSALS: [PAIR]}
    assert place.turn(pair, book=lacking) == 1
    assert place.turn(pair, other=COMPLETE) == 1
    assert place.turn({PROPOSALS: [PAIR]}, book=COMPLETE) > ROW


def test_a_book_that_is_closed_is_not_waited_for() -> None:
    place = Place()
    place.turn({FEATURES: [ROW], PROPOSALS: [PAIR]}, book=PART)
    assert place.turn({FEATURES: [ROW], PROPOSALS: [PAIR]}, book=()) > ROW


def test_the_smallest_features_count_since_a_record_may_hold_several_rows() -> None:
    least = Place().turn({FEATURES: [3 * ROW, ROW, 2 * ROW], PROPOSALS: [3 * PAIR]}, book=COMPLETE)
    assert least < ROW + PAIR


def test_records_of_many_rows_are_read_at_once() -> None:
    assert Place().turn({FEATURES: [100 * ROW], PROPOSALS: [100 * PAIR]}, book=COMPLETE) == 1


def test_where_nobody_proposes_features_are_read_at_once() -> None:
    place = Place()
    place.turn({FEATURES: [ROW], PROPOSALS: [PAIR]}, book=COMPLETE)
    for _ in range(2):
        place.now += 2.5
        least = place.turn({FEATURES: [ROW]}, book=COMPLETE)
    assert least == 1
    assert place.turn({PROPOSALS: [PAIR]}, book=COMPLETE) > ROW


def test_sizes_of_long_ago_are_forgotten() -> None:
    place = Place()
    place.turn({FEATURES: [ROW // 2], PROPOSALS: [PAIR]}, book=COMPLETE)
    for _ in range(2):
        place.now += 2.5
        least = place.turn({FEATURES: [ROW], PROPOSALS: [PAIR]}, book=COMPLETE)
    assert least > ROW


@pytest.mark.parametrize("sources", [(TICKS,), (FEATURES,)])
def test_a_stage_that_joins_nothing_waits_for_nothing(sources: tuple[Topic, ...]) -> None:
    assert Place(sources).turn({FEATURES: [ROW], PROPOSALS: [PAIR]}, book=COMPLETE) == 1
