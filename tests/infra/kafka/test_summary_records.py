"""Summaries as records: parts that fit, later fields that do no harm, parts that are outdated, books taken out."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.kafka.broker import summaries as wire
from windvane.infra.kafka.broker.layout import MOST_BYTES
from windvane.streams.summaries import BookSummary, Opening, Trading

TRADING = Trading(
    "halted", 12, "reduce-only", 123_456_789, 1234, "a" * 64, -0.123456789, 1e6 / 7, -1e3 / 7, 5
)
OPENING = Opening("d" * 64, "BTCUSD", ("vol_trend", "buy_and_hold"), "timed", 1e6)


def books(number: int) -> list[BookSummary]:
    return [
        BookSummary(
            f"account-{k:05}",
            f"{k % 7:016}",
            123_456_789,
            123_456_789,
            1_700_000_000_000_000_000 + k,
            False,
            TRADING,
        )
        for k in range(number)
    ]


def parts(number: int) -> list[bytes]:
    told = books(number)
    openings = {book.settings: OPENING for book in told}
    return wire.in_parts(1.0, told, openings, {b.book: 1_700_000_000 for b in told}, {"": ("waiting", "x")})


def newest(raws: list[bytes]) -> dict[tuple[str, int], bytes]:
    return {(wire.key_of_part("ensemble", k).decode(), 0): raw for k, raw in enumerate(raws)}


def test_a_thousand_books_are_one_record_far_below_what_the_topic_takes() -> None:
    (raw,) = parts(1000)
    assert len(raw) < 0.35 * MOST_BYTES
    told = wire._assembled(newest([raw])).told["ensemble", 0]
    assert told.books[0].books == books(1000)


def test_it_costs_little() -> None:
    told = books(1000)
    row_at = {b.book: 1_700_000_000 for b in told}
    openings = {book.settings: OPENING for book in told}
    began = time.process_time()
    wire.in_parts(1.0, told, openings, row_at, {})
    assert time.process_time() - began < 0.05


@given(number=st.integers(0, 40), most=st.integers(300, 5000))
def test_parts_hold_every_book_once_and_fit(number: int, most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "MOST_PART", most)
        raws = parts(number)
    told = wire._assembled(newest(raws)).told["ensemble", 0]
    assert sorted(b.book for part in told.books for b in part.books) == [b.book for b in books(number)]
    assert [part.part for part in told.books] == list(range(len(raws)))
    assert all(len(raw) <= most or len(part.books) <= 1 for raw, part in zip(raws, told.books, strict=True))
    assert sum("" in part.troubles for part in told.books) == 1


def test_parts_of_an_earlier_larger_telling_count_no_more() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "MOST_PART", 1000)
        many = parts(20)
    told = wire._assembled(newest(many) | newest(parts(2))).told["ensemble", 0]
    assert [b.book for part in told.books for b in part.books] == ["account-00000", "account-00001"]


def test_what_a_later_version_appends_does_no_harm_and_garbage_is_passed_over() -> None:
    raw: dict[str, Any] = msgspec.json.decode(parts(1)[0])
    raw["books"][0] += ["later", 1]
    raw["books"][0][6] += [True]
    raw["more"] = 1
    found = wire._assembled(
        newest([msgspec.json.encode(raw)]) | {("features#0", 0): b"\xff", ("x", 1): b"{}"}
    )
    assert set(found.told) == {("ensemble", 0)}
    assert found.told["ensemble", 0].books[0].books == books(1)


def test_a_book_that_was_taken_out_is_told_apart() -> None:
    raw = msgspec.json.encode(wire.Removed(at=1.0, book="a#b"))
    found = wire._assembled({(wire.key_of_removed("a#b").decode(), 0): raw} | newest(parts(1)))
    assert set(found.removed) == {"a#b"}
    assert set(found.told) == {("ensemble", 0)}
