"""The parts of `windvane control` that need no broker: what is sent, what it passes, and what answers are read."""

import msgspec
import pytest
from aiokafka import TopicPartition

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.signing import sign
from windvane.infra.kafka.tools import controls, outcomes
from windvane.infra.kafka.tools.controls import ControlError, Reached, Sent, decided_controls, new_control
from windvane.streams.codec import to_json
from windvane.streams.control_log import refusal
from windvane.streams.events import Control, DeadLetter

SETTINGS = KafkaSettings(prefix="p", control_key="the key of the tests, no secret")
KEY = b"the key of the tests, no secret"
DECISIONS = "p.decisions"


def numbered(number: int, effective_from: int = 0, book: str = "b") -> Control:
    return msgspec.structs.replace(new_control(book, "halt", effective_from), number=number)


def rows(start: int, *applied: int) -> bytes:
    """A record of decisions, one row for each number of the control applied last."""
    return msgspec.json.encode({"seq": [*range(start, start + len(applied))], "controls": applied})


class TestNewControl:
    def test_it_has_no_number_and_no_signature_yet(self) -> None:
        control = new_control("b", "resume", 7, "news")
        assert (control.number, control.signature) == (0, "")
        assert (control.action, control.effective_from, control.reason) == ("resume", 7, "news")

    @pytest.mark.parametrize("row", [-1, 2**53])
    def test_a_row_that_no_json_number_holds_is_refused(self, row: int) -> None:
        with pytest.raises(ControlError, match="--from-seq"):
            new_control("b", "halt", row)

    @pytest.mark.parametrize("book", ["", ".", "..", "a/b"])
    def test_a_name_that_can_be_no_book_is_refused(self, book: str) -> None:
        with pytest.raises(ControlError, match="give a name without slashes"):
            new_control(book, "halt")


class TestControlsOfATopic:
    def seen(self, *events: Control | bytes) -> controls._Controls:
        known = controls._Controls(SETTINGS, "b")
        for event in events:
            known.add(event if isinstance(event, bytes) else to_json(event))
        return known

    def test_the_first_of_a_number_counts_and_others_are_passed_over(self) -> None:
        first, second = sign(numbered(1), KEY, "p"), sign(numbered(1, 9), KEY, "p")
        known = self.seen(b"{", first, second, sign(numbered(5, book="c"), KEY, "p"))
        assert known.signed == {1: first}
        assert known.highest == 1

    def test_another_key_raises_the_next_number_but_cannot_use_numbers_up(self) -> None:
        known = self.seen(sign(numbered(6), b"another key of somebody", "p"), numbered(2**48))
        assert (known.signed, known.highest) == ({}, 6)

    def test_earlier_controls_for_later_rows_are_passed(self) -> None:
        known = [numbered(1, 50), numbered(2, 10), numbered(3, 90), numbered(4, 11)]
        assert list(controls._passed(known, numbered(4, 11), Reached(rows=5, control=1))) == [3]
        assert list(controls._passed(known, numbered(5), Reached(rows=60, control=0))) == [3]


class TestDecidedControls:
    def test_columns_are_read_and_anything_else_is_none(self) -> None:
        columns = decided_controls(rows(4, 0, 1))
        assert columns is not None
        assert (columns.seq, columns.controls) == ([4, 5], [0, 1])
        uneven = msgspec.json.encode({"seq": [1, 2], "controls": [0]})
        assert [decided_controls(raw) for raw in (b"", b"{}", rows(0), uneven)] == [None] * 4


class TestAnswers:
    control = sign(numbered(3, 10), KEY, "p")
    sent = Sent(control, 17, (), Reached(4, 2), {TopicPartition(DECISIONS, 1): 0})

    def answers(self) -> outcomes._Answers:
        return outcomes._Answers(SETTINGS, self.sent)

    def test_the_first_row_that_carries_its_number_is_the_row_that_it_rules(self) -> None:
        answers = self.answers()
        answers.add(DECISIONS, b"another", rows(4, 3))
        answers.add(DECISIONS, b"b", rows(4, 2, 2))
        assert (answers.row, answers.rows, answers.complete) == (None, 6, False)
        answers.add(DECISIONS, b"b", rows(10, 2, 3, 3))
        answers.add(DECISIONS, b"b", rows(13, 3))
        assert (answers.row, answers.rows, answers.complete) == (11, 14, True)

    def test_a_refusal_is_known_by_its_place_or_by_what_the_control_says(self) -> None:
        of_worker = DeadLetter(
            book="b", source="control, partition 1, offset 17", reason="not signed", payload=""
        )
        for letter in (of_worker, refusal(self.control, "too late")):
            answers = self.answers()
            answers.add("p.dead_letters", b"b", b"no event")
            answers.add("p.dead_letters", b"b", to_json(refusal(numbered(4), "of another control")))
            assert answers.refusal is None
            answers.add("p.dead_letters", b"b", to_json(letter))
            assert answers.refusal == letter.reason

    def test_what_is_known_is_one_of_five_sentences(self) -> None:
        answers = self.answers()
        name = "control 3 of book b (halt)"

        def judged(read: bool) -> tuple[bool, int | None, str]:
            return outcomes._judged(SETTINGS, answers, read, 2.0)

        assert judged(read=False)[2].startswith(
            f"{name} is NOT IN EFFECT after 2 s: no worker of the ensemble"
        )
        planned = "is planned: the workers have read it, 4 rows are decided, and it is in effect from row 10"
        assert judged(read=True) == (True, None, f"{name} {planned}")
        answers.rows = 10
        assert "no row has come that it rules (10 rows are decided)" in judged(read=True)[2]
        answers.refusal = "control 3 is not signed by who may"
        assert judged(read=True)[2] == (
            f"{name} is REFUSED by the workers: {answers.refusal} (they have another key, or none)"
        )
        answers.refusal, answers.row = None, 12
        assert judged(read=True) == (True, 12, f"{name} is in effect from row 12")
        answers.refusal = "book b has no weights to roll back to"
        assert judged(read=True) == (
            False,
            12,
            f"{name} was obeyed at row 12 and came to nothing: {answers.refusal}",
        )
