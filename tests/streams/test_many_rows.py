"""Records of one row each that are read together are the same events as when each is read alone."""

import base64
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_codec import BATCHES, NOT_EVENTS, SINGLES, any_batch, random_batch

from windvane.streams import events as ev
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.many_rows import Delivered, events_of

RECEIVED = 1_700_000_000_000_000_000


def delivered(raws: list[bytes]) -> list[Delivered]:
    return [Delivered(k, raw, RECEIVED + k) for k, raw in enumerate(raws)]


def alone(record: Delivered) -> ev.Event | None:
    try:
        return from_json(record.value or b"", record.received)
    except WireError:
        return None


def check_same(one: Any, other: Any) -> None:
    """Two events are of one kind, and their fields have the same types and bits."""
    assert type(one) is type(other)
    for name in one.__struct_fields__:
        a, b = getattr(one, name), getattr(other, name)
        assert type(a) is type(b), name
        if isinstance(a, np.ndarray):
            assert (a.dtype, a.shape, a.flags.carray) == (b.dtype, b.shape, True), name
            assert a.tobytes() == b.tobytes(), name
        else:
            assert a == b, name


def one_row(kind: type[ev.Batch], **columns: Any) -> bytes:
    row = random_batch(kind, 1, 2)
    return to_json(msgspec.structs.replace(row, **columns))


damaged = st.tuples(any_batch(), st.integers(0, 10**6), st.integers(0, 255))


@given(
    st.lists(
        st.one_of(
            any_batch().map(to_json),
            any_batch().map(lambda batch: to_json(ev.cut(batch, 0, 1))),
            st.sampled_from([*map(to_json, SINGLES), *NOT_EVENTS.values()]),
            damaged.map(lambda how: _spoilt(*how)),
        ),
        max_size=12,
    )
)
def test_what_is_read_together_is_what_is_read_alone(raws: list[bytes]) -> None:
    """Whatever else is among the records; what cannot be read is left to who says why."""
    records = delivered(raws)
    for record, event in zip(records, events_of(records), strict=True):
        if event is not None:
            check_same(event, alone(record))


def _spoilt(batch: ev.Batch, place: int, byte: int) -> bytes:
    raw = bytearray(to_json(ev.cut(batch, 0, 1)))
    raw[place % len(raw)] = byte
    return bytes(raw)


@pytest.mark.parametrize("kind", BATCHES)
def test_many_rows_of_a_kind_are_read_together(kind: type[ev.Batch]) -> None:
    records = delivered([one_row(kind, seq=np.array([k])) for k in range(20)])
    events = events_of(records)
    assert None not in events
    for record, event in zip(records, events, strict=True):
        check_same(event, alone(record))


def test_kinds_and_columns_may_differ() -> None:
    """Each book has the columns that its feed has."""
    raws = [one_row(ev.Ticks), one_row(ev.Ticks, bid=None, ask=None), one_row(ev.Features)] * 4
    assert None not in events_of(delivered(raws))


def test_times_may_be_texts_of_digits() -> None:
    told = orjson.loads(one_row(ev.Ticks))
    raws = [orjson.dumps(told | {"ts": [ts]}) for ts in (1, "9223372036854775807", "-7", 2**63 - 2)]
    events = events_of(delivered(raws))
    assert [int(event.ts[0]) for event in events if isinstance(event, ev.Ticks)] == [
        1,
        2**63 - 1,
        -7,
        2**63 - 2,
    ]


def test_one_bad_row_leaves_the_others_to_be_read_alone() -> None:
    told = orjson.loads(one_row(ev.Features))
    bad = orjson.dumps(told | {"x": {"shape": [1, 49], "f8": told["x"]["f8"]}})
    records = delivered([one_row(ev.Features)] * 5 + [bad])
    assert events_of(records) == [None] * 6
    assert [alone(record) is None for record in records] == [False] * 5 + [True]


NAN = base64.b64encode(np.full(50, np.nan).tobytes()).decode()
ONE = base64.b64encode(np.zeros(1).tobytes()).decode()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (ev.Features, {"x": {"shape": [1, 50], "f8": NAN}}),
        (ev.Features, {"x": {"shape": [50, 1], "f8": NAN.replace("+H8", "AAA")}}),
        (ev.Features, {"x": {"shape": [1, 50], "f8": ONE}}),
        (ev.Features, {"mid": {"shape": [], "f8": ONE}}),
        (ev.Features, {"mid": [1.0, 2.0]}),
        (ev.Features, {"seq": [-1]}),
        (ev.Features, {"flags": [2**63]}),
        (ev.Proposals, {"agents": ["a", "b", "c"]}),
        (ev.Proposals, {"action": [[1]]}),
        (ev.Proposals, {"action": [[1, 0], [0, 1]]}),
    ],
)
def test_what_is_refused_alone_is_not_read_together(kind: type[ev.Batch], wrong: dict[str, Any]) -> None:
    raw = orjson.dumps(orjson.loads(one_row(kind)) | wrong)
    records = delivered([raw] * 5)
    assert [alone(record) for record in records] == [None] * 5
    assert events_of(records) == [None] * 5


def test_a_few_records_and_long_ones_are_left_alone() -> None:
    assert events_of(delivered([one_row(ev.Ticks)] * 3)) == [None] * 3
    long = to_json(random_batch(ev.Ticks, 200, 1))
    assert events_of(delivered([long] * 5)) == [None] * 5
    assert events_of([Delivered(k, None, RECEIVED) for k in range(5)]) == [None] * 5
