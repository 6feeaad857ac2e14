"""What was published is computed again and compared: a bit that differs stops the worker before it publishes more."""

from typing import Any

import msgspec
import numpy as np
import pytest
from test_codec import BATCHES, random_batch

from windvane.streams import events as ev
from windvane.streams.codec import to_json
from windvane.streams.published import Published
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.stage import StateError
from windvane.streams.topics import DECISIONS, FILLS, ORDERS, TOPICS, Topic

ROWS = 6
BOOK = "buch-ä"


def topic_of(kind: type[ev.Event]) -> Topic:
    return next(topic for topic in TOPICS if kind in topic.carries)


def rows_of(kind: type[ev.Batch]) -> ev.Batch:
    """Rows 10, 11, ... of a kind, each column with values of its own."""
    return msgspec.structs.replace(random_batch(kind, ROWS, 2), seq=np.arange(10, 10 + ROWS))


def columns(kind: type[ev.Batch]) -> list[str]:
    rows = rows_of(kind)
    return [n for n in rows.__struct_fields__ if n != "seq" and isinstance(getattr(rows, n), np.ndarray)]


AS_ROWS = [kind for kind in BATCHES if kind not in (ev.Orders, ev.Fills, ev.Ticks)]
EVERY_COLUMN = [
    pytest.param(kind, name, id=f"{kind.__name__}.{name}") for kind in AS_ROWS for name in columns(kind)
]


def with_bit(rows: ev.Batch, name: str, row: int) -> ev.Batch:
    """The rows with the lowest bit of one value turned."""
    changed = getattr(rows, name).copy()
    changed.view(np.int64)[row] ^= 1
    return msgspec.structs.replace(rows, **{name: changed})


def followed(*batches: ev.Batch) -> Published:
    published = Published()
    for each in batches:
        published.add(topic_of(type(each)), to_json(each))
    return published


class TestFreshRows:
    """Rows on topics that carry batches."""

    @pytest.mark.parametrize("kind", AS_ROWS)
    def test_rows_that_are_the_same_are_not_sent_again(self, kind: type[ev.Batch]) -> None:
        rows = rows_of(kind)
        published = followed(ev.cut(rows, 0, 2), ev.cut(rows, 2, 4))
        fresh = published.fresh_rows(topic_of(kind), rows)
        assert fresh is not None
        assert fresh.seq.tolist() == [14, 15]

    @pytest.mark.parametrize(("kind", "name"), EVERY_COLUMN)
    def test_one_bit_of_any_column_is_noticed(self, kind: type[ev.Batch], name: str) -> None:
        rows = rows_of(kind)
        for row in (0, ROWS - 1):
            published = followed(rows)
            with pytest.raises(StateError, match=f"differ in column {name} from what was published"):
                published.fresh_rows(topic_of(kind), with_bit(rows, name, row))

    def test_zero_and_minus_zero_differ(self) -> None:
        rows = rows_of(ev.Decisions)
        zero, minus = (msgspec.structs.replace(rows, wanted=np.full(ROWS, value)) for value in (0.0, -0.0))
        with pytest.raises(StateError, match="column wanted"):
            followed(zero).fresh_rows(DECISIONS, minus)

    def test_rows_after_those_published_are_not_compared(self) -> None:
        rows = rows_of(ev.Decisions)
        published = followed(ev.cut(rows, 0, 3))
        assert published.fresh_rows(DECISIONS, with_bit(rows, "mid", ROWS - 1)) is not None

    def test_a_row_that_was_decided_and_is_not_on_its_topic_is_noticed(self) -> None:
        rows = rows_of(ev.Decisions)
        published = followed(ev.cut(rows, 2, 4))
        published._rows.clear()  # as where somebody cut the topic
        with pytest.raises(StateError, match="lack seq 10, though seq 13 was decided"):
            published.fresh_rows(DECISIONS, rows)


class TestFreshLines:
    """Orders and fills lie on their topics as single lines."""

    def test_a_row_may_have_two_fills(self) -> None:
        rows = msgspec.structs.replace(
            rows_of(ev.Fills), seq=np.repeat([10, 11, 12], 2), order_seq=np.arange(ROWS), ts=np.arange(ROWS)
        )

        def published(last: int) -> Published:
            found = followed(rows_of(ev.Decisions))
            for _, raw in list(fill_lines(rows, "XBTUSD"))[:last]:
                found.add(FILLS, raw)
            return found

        assert list(published(ROWS).fresh_lines(FILLS, rows, "XBTUSD")) == []
        with pytest.raises(StateError, match="at seq 12 differ"):
            list(published(ROWS - 1).fresh_lines(FILLS, rows, "XBTUSD"))

    @pytest.mark.parametrize(
        ("kind", "topic", "lines"), [(ev.Orders, ORDERS, order_lines), (ev.Fills, FILLS, fill_lines)]
    )
    def test_a_line_that_differs_is_noticed(self, kind: type[ev.Batch], topic: Topic, lines: Any) -> None:
        rows = rows_of(kind)
        rows = msgspec.structs.replace(
            rows,
            ts=np.arange(ROWS) * 10**9,
            **(
                {"reason": np.zeros(ROWS, np.int64), "valid_until": np.arange(ROWS) * 10**9}
                if kind is ev.Orders
                else {"order_seq": np.arange(ROWS)}
            ),
        )
        decisions = rows_of(ev.Decisions)

        def published() -> Published:
            found = followed(decisions)
            for _, raw in lines(rows, "XBTUSD"):
                found.add(topic, raw)
            return found

        assert list(published().fresh_lines(topic, rows, "XBTUSD")) == []
        with pytest.raises(StateError, match=f"{topic.name} of {BOOK} at seq 1[0-5] differ"):
            list(published().fresh_lines(topic, msgspec.structs.replace(rows, qty=rows.qty + 1.0), "XBTUSD"))
        more = published()
        more.add(topic, [raw for _, raw in lines(rows, "XBTUSD")][3])  # nobody of ours wrote it twice
        with pytest.raises(StateError, match=f"{topic.name} of {BOOK} at seq 13 differ"):
            list(more.fresh_lines(topic, rows, "XBTUSD"))
