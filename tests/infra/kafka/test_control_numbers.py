"""The number of the next control is above all on the topic, though they do not rise there."""

from itertools import permutations

import pytest

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.signing import sign
from windvane.infra.kafka.tools.controls import _FARTHEST_NUMBER, Reached, _Controls, _passed
from windvane.streams.codec import to_json
from windvane.streams.events import Control

KEY, OTHER = b"the key of the tests, not a secret", b"another key of the tests"
SETTINGS = KafkaSettings(prefix="p", control_key=KEY.decode())


def control(number: int, row: int = 0, key: bytes = KEY, book: str = "b") -> Control:
    return sign(Control(book=book, number=number, action="halt", effective_from=row), key, "p")


def on_topic(*controls: Control) -> _Controls:
    topic = _Controls(SETTINGS, "b")
    for each in controls:
        topic.add(to_json(each))
    return topic


class TestControls:
    """The controls of a book that its topic holds."""

    @pytest.mark.parametrize("numbers", list(permutations([2, 7, 4])))
    def test_the_highest_number_counts_in_any_order(self, numbers: tuple[int, ...]) -> None:
        assert on_topic(*map(control, numbers)).highest == 7

    @pytest.mark.parametrize("keys", list(permutations([KEY, OTHER])))
    def test_numbers_of_another_key_count(self, keys: tuple[bytes, ...]) -> None:
        topic = on_topic(*(control(n, key=key) for n, key in zip((5, 3), keys, strict=True)))
        assert topic.highest == 5
        assert len(topic.signed) == 1

    def test_an_absurd_number_counts_only_with_the_key(self) -> None:
        assert on_topic(control(3), control(_FARTHEST_NUMBER, key=OTHER)).highest == 3
        assert on_topic(control(3), control(_FARTHEST_NUMBER)).highest == _FARTHEST_NUMBER

    def test_other_books_and_garbage_count_for_nothing(self) -> None:
        topic = on_topic(control(2), control(9, book="other"))
        topic.add(b"halt!")
        topic.add(None)
        assert topic.highest == 2

    def test_the_first_of_a_number_owns_it(self) -> None:
        first, second = control(1, 10), control(1, 20)
        assert on_topic(first, second).signed == {1: first}


class TestPassed:
    """Controls that a new one cancels: lower numbers for later rows that are not applied yet."""

    def test_numbers_and_rows_that_do_not_rise_together(self) -> None:
        known = [control(4, 900), control(2, 100), control(3, 500), control(6, 800)]
        assert sorted(_passed(known, control(5, 200), Reached(rows=0, control=0))) == [3, 4]
        assert sorted(_passed(known, control(5, 0), Reached(rows=600, control=3))) == [4]
        assert sorted(_passed(known, control(5, 0), Reached(rows=600, control=4))) == []
