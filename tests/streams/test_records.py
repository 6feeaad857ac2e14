"""Orders and fills as single events."""

import msgspec
import numpy as np
import pytest

from windvane.metamodel.base.account import REASONS
from windvane.streams.events import Fills, Orders, cut
from windvane.streams.records import each_fill, each_order, fill_lines, order_lines, rfc3339

TS = np.array([1_704_067_199_999_999_999, 1_704_067_200_000_000_001], np.int64)


def orders() -> Orders:
    return Orders(
        book="btc-1",
        seq=np.array([7, 9]),
        ts=TS,
        qty=np.array([0.25, -1e-8]),
        price=np.array([42_000.5, 41_999.0]),
        reduce_only=np.array([0, 1]),
        valid_until=TS + 10,
        target_after=np.array([0.5, 0.0]),
        reason=np.array([0, 2]),
    )


def fills() -> Fills:
    return Fills(
        book="btc-1",
        seq=np.array([8, 10]),
        order_seq=np.array([7, 9]),
        ts=TS,
        qty=np.array([0.0, -0.5]),
        price=np.array([42_001.0, 41_998.0]),
        fee=np.array([0.0, 2.1]),
    )


class TestRecords:
    """Orders and fills as lines, and back."""

    def test_time_keeps_every_nanosecond(self) -> None:
        assert rfc3339(TS) == ["2023-12-31T23:59:59.999999999Z", "2024-01-01T00:00:00.000000001Z"]

    def test_every_time_has_nine_digits_whatever_it_is(self) -> None:
        ts = np.array([0, 1, -1, 10**9, 1_704_067_200_000_000_000, 2**63 - 1, -(2**63) + 1])
        assert rfc3339(ts) == [
            f"{t}Z" for t in np.datetime_as_string(ts.astype("M8[ns]"), unit="ns").tolist()
        ]
        assert rfc3339(ts[::2]) == rfc3339(ts)[::2]
        assert {len(text) for text in rfc3339(ts)} == {len("2024-01-31T23:59:59.000000001Z")}

    def test_an_order_as_one_line_of_json_with_its_fields_in_order(self) -> None:
        first, second = each_order(orders(), "BTCUSD")
        assert msgspec.json.encode(first) == (
            b'{"id":"btc-1.7.order","book":"btc-1","seq":7,"ts":1704067199999999999,'
            b'"time":"2023-12-31T23:59:59.999999999Z","symbol":"BTCUSD","side":"buy","qty":0.25,"price":42000.5,'
            b'"reduce_only":false,"valid_until":1704067200000000009,"target_after":0.5,"reason":"rebalance"}'
        )
        assert (second.side, second.qty, second.reduce_only, second.reason) == (
            "sell",
            1e-8,
            True,
            REASONS[2],
        )

    @pytest.mark.parametrize("book", ["btc-1", "two\nlines\r\u2028"])
    def test_lines_are_the_records_one_by_one_whatever_the_name_of_the_book(self, book: str) -> None:
        some, filled = (msgspec.structs.replace(e, book=book) for e in (orders(), fills()))
        encode = msgspec.json.encode
        assert list(order_lines(some, "A\nB")) == [(o.seq, encode(o)) for o in each_order(some, "A\nB")]
        assert list(fill_lines(filled, "A\nB")) == [(f.seq, encode(f)) for f in each_fill(filled, "A\nB")]
        nothing = msgspec.structs.replace(fills(), qty=np.zeros(2))
        assert list(fill_lines(nothing, "BTCUSD")) == []

    def test_the_second_fill_of_a_row_has_an_id_of_its_own_however_the_rows_are_cut(self) -> None:
        both = msgspec.structs.replace(fills(), seq=np.array([8, 8]), qty=np.array([1.0, -0.5]))
        found = list(each_fill(both, "BTCUSD"))
        assert [fill.id for fill in found] == ["btc-1.8.fill", "btc-1.8.fill2"]
        assert list(each_fill(cut(both, 1, 2), "BTCUSD", before=8)) == found[1:]

    def test_a_fill_names_its_order_and_an_empty_one_is_skipped(self) -> None:
        (fill,) = each_fill(fills(), "BTCUSD")
        assert msgspec.json.encode(fill) == (
            b'{"id":"btc-1.10.fill","book":"btc-1","order_id":"btc-1.9.order","seq":10,"ts":1704067200000000001,'
            b'"time":"2024-01-01T00:00:00.000000001Z","symbol":"BTCUSD","side":"sell","qty":0.5,"price":41998.0,'
            b'"fee":2.1}'
        )
