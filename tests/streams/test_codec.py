"""Events to bytes and back: nothing is lost, and what is not an event is refused with a reason."""

import base64
import contextlib
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from simulated_book import config, opening, same, table
from windvane.metamodel.features.extractor import NAMES
from windvane.streams import events as ev
from windvane.streams.codec import (
    BY_NAME,
    WireError,
    cuts,
    from_json,
    from_packed,
    to_json,
    to_packed,
    unpack,
)

BOTH = [(to_json, from_json), (to_packed, from_packed)]
FORMATS = pytest.mark.parametrize(("write", "read"), BOTH, ids=["json", "packed"])
LARGEST = 512 * 1024

WIDTHS = {"x": len(NAMES), "regime": 7, "members": 4, "member_targets": 4, "scores": 6}
"""Columns of a fixed width; other matrices have one column an agent or account."""

MATRICES = {
    ev.Features: {"x", "regime"},
    ev.Proposals: {"target", "action", "confidence", "benched"},
    ev.Decisions: {"weights", "members", "member_targets", "equities", "regime", "awake", "benched"},
    ev.Shadows: {
        n for n in ev.Shadows.__struct_fields__ if n not in ("book", "seq", "ts", "day", "agents", "versions")
    },
    ev.Statements: {
        n for n in ev.Statements.__struct_fields__ if n not in ("book", "seq", "ts", "day", "accounts")
    },
}
BATCHES = [kind for kind in BY_NAME.values() if issubclass(kind, ev.Batch)]

whole = st.integers(-(2**63), 2**63 - 1)
real = st.floats(allow_nan=False, allow_infinity=False, width=64)


def batch(kind: type[ev.Batch], n: int, agents: int, fill: Any, present: Any = lambda name: True) -> ev.Batch:
    """A batch of a kind; fill(dtype, shape) gives its columns, present(name) says which optional ones it has."""
    names = tuple(f"agent-{i}" for i in range(agents))
    plain = {"agents": names, "versions": names, "accounts": names, "model": "m-1", "unproven": False}
    found: dict[str, Any] = {"book": "buch-ä", "seq": np.arange(n) * 3 + 2**53 + 1}
    for field in msgspec.structs.fields(kind):
        name, said = field.name, str(field.type)
        if name in found or (not field.required and name not in plain and not present(name)):
            continue
        if name in plain:
            found[name] = plain[name]
            continue
        shape = (n, WIDTHS.get(name, agents)) if name in MATRICES.get(kind, ()) else (n,)
        found[name] = fill(np.int64 if "int64" in said else np.float64, shape)
    return kind(**found)


@st.composite
def any_batch(draw: st.DrawFn) -> ev.Batch:
    def fill(dtype: type, shape: tuple[int, ...]) -> np.ndarray:
        elements = whole if dtype is np.int64 else real
        return draw(hnp.arrays(dtype, shape, elements=elements, fill=elements))

    kind = draw(st.sampled_from(BATCHES))
    n, agents = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return batch(kind, n, agents, fill, lambda name: draw(st.booleans()))


def random_batch(kind: type[ev.Batch], n: int, agents: int) -> ev.Batch:
    rng = np.random.default_rng(0)
    return batch(
        kind,
        n,
        agents,
        lambda dtype, shape: (
            rng.standard_normal(shape) if dtype is np.float64 else 2**62 + rng.integers(0, 9, shape)
        ),
    )


SINGLES = [
    opening(config()),
    ev.BookClosed(book="b", last=-1),
    ev.BookClosed(book="b", last=2**62),
    ev.LearnerUpdate(
        book="b", version=1, trained_at=2**62, effective_from=2**62 + 1, outcome="kept", samples=3,
        agents=("a", "b"), scores=(0.1, -1e-300), weights="QUJD",
    ),
    ev.Control(book="b", number=1, action="halt", effective_from=2**61, reason="weil \"nötig\"\n"),
    ev.Control(book="b", number=2, action="swap", effective_from=0, model="ab" * 32),
    ev.Model(book="b", number=2, sha256="ab" * 32, weights="QUJD", signature="cd"),
    ev.DeadLetter(book="b", source="s", reason="r", payload="\x00\x1f\u2028"),
]  # fmt: skip


def spoiled(**changes: Any) -> bytes:
    """Two ticks with some fields replaced; None leaves one out."""
    told = orjson.loads(to_json(random_batch(ev.Ticks, 2, 1)))
    told |= changes
    return msgspec.json.encode({k: v for k, v in told.items() if v is not None})


NOT_EVENTS = {
    "nothing": b"",
    "no json": b"\xff\x00garbage",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "deep": b"[" * 100_000,
    "no type": b'{"book":"b","last":1}',
    "unknown type": b'{"type":"Tocks","book":"b"}',
    "no book": spoiled(book=None),
    "book is a number": spoiled(book=7),
    "no seq": spoiled(seq=None),
    "no price": spoiled(price=None),
    "no rows": spoiled(seq=[], ts=[], flags=[], price=[]),
    "fewer prices": spoiled(price=[1.0]),
    "price is text": spoiled(price="100"),
    "price holds text": spoiled(price=["100.5", "101"]),
    "price holds null": spoiled(price=[1.0, None]),
    "price is true": spoiled(price=[True, True]),
    "price holds inf": spoiled().replace(b'"price":[', b'"price":[1e999,'),
    "price is a matrix": spoiled(price=[[1.0, 2.0], [3.0, 4.0]]),
    "price is a number": spoiled(price=1.0),
    "price is an object": spoiled(price={"f8": 1}),
    "price is bad base64": spoiled(price={"f8": "?", "shape": [2]}),
    "price has a bad shape": spoiled(price={"f8": "AAAAAAAA8D8=", "shape": [2**70]}),
    "price has more bytes than its shape": spoiled(price={"f8": base64.b64encode(bytes(24)).decode(), "shape": [2]}),
    "price has fewer bytes than its shape": spoiled(price={"f8": base64.b64encode(bytes(8)).decode(), "shape": [2]}),
    "price is a packed matrix": spoiled(price={"f8": base64.b64encode(bytes(32)).decode(), "shape": [2, 2]}),
    "price is packed in no dimension": spoiled(price={"f8": base64.b64encode(bytes(8)).decode(), "shape": []}),
    "price has a negative shape": spoiled(price={"f8": "", "shape": [-1]}),
    "ts is real": spoiled(ts=[1.5, 2.5]),
    "ts is a matrix": spoiled(ts=[[1], [2]]),
    "ts is beyond 64 bits": spoiled(ts=[1, 2**63]),
    "ts is far beyond 64 bits": spoiled().replace(b'"ts":[', b'"ts":[' + b"9" * 40 + b","),
    "ts is true": spoiled(ts=[True, False]),
    "seq is packed reals": spoiled(seq={"f8": base64.b64encode(np.arange(2.0).tobytes()).decode(), "shape": [2]}),
    "seq goes back": spoiled(seq=[5, 4]),
    "seq repeats": spoiled(seq=[5, 5]),
    "seq is negative": spoiled(seq=[-1, 0]),
    "two objects": spoiled() + spoiled(),
}  # fmt: skip


def told(kind: type[ev.Batch], **changes: Any) -> bytes:
    return msgspec.json.encode(orjson.loads(to_json(random_batch(kind, 2, 2))) | changes)


MISSHAPEN = {
    "targets of three agents for two": told(ev.Proposals, target=[[0.1, 0.2, 0.3]] * 2),
    "targets without agents": told(ev.Proposals, target=[0.1, 0.2]),
    "actions that are real": told(ev.Proposals, action=[[0.7, 0.2], [1.0, 0.0]]),
    "forty-nine features": told(ev.Features, x=[[0.0] * 49] * 2),
    "packed regimes of six": told(
        ev.Features, regime={"f8": base64.b64encode(bytes(96)).decode(), "shape": [2, 6]}
    ),
    "packed targets of three agents for two": told(
        ev.Proposals, target={"f8": base64.b64encode(bytes(48)).decode(), "shape": [2, 3]}
    ),
    "packed confidences of one row for two": told(
        ev.Proposals, confidence={"f8": base64.b64encode(bytes(16)).decode(), "shape": [1, 2]}
    ),
    "features without columns": told(ev.Features, x=[0.0, 0.0]),
}


class TestCodec:
    """to_json, from_json, to_packed and from_packed."""

    @FORMATS
    @pytest.mark.parametrize("event", SINGLES, ids=lambda e: type(e).__name__)
    def test_single_events_come_back(self, event: ev.Event, write: Any, read: Any) -> None:
        assert read(write(event)) == event

    def test_every_event_type_is_tried(self) -> None:
        assert {type(e) for e in SINGLES} | set(BATCHES) == set(BY_NAME.values())

    @FORMATS
    @settings(max_examples=80, deadline=None)
    @given(event=any_batch())
    def test_batches_come_back_to_the_last_bit(self, write: Any, read: Any, event: ev.Batch) -> None:
        again = read(write(event))
        assert type(again) is type(event)
        same(table([again]), table([event]))
        for name in event.__struct_fields__:
            column, before = getattr(again, name), getattr(event, name)
            assert (column is None) == (before is None), name
            if isinstance(column, np.ndarray):  # what kernels are compiled for
                assert column.flags.c_contiguous, name
                assert column.flags.writeable, name
                assert column.dtype == before.dtype, name

    @pytest.mark.parametrize("kind", BATCHES, ids=lambda k: k.__name__)
    def test_nanoseconds_survive_and_absent_columns_are_absent(self, kind: type[ev.Batch]) -> None:
        event = batch(kind, 2, 2, lambda dtype, shape: np.full(shape, 2**62 + 1, dtype), lambda name: False)
        told = orjson.loads(to_json(event))
        optional = {f.name for f in msgspec.structs.fields(kind) if not f.required} - {"model"}
        assert not optional & set(told)
        if "ts" in told:
            assert told["ts"] == [2**62 + 1] * 2
            again = from_json(to_json(event))
            assert getattr(again, "ts").tolist() == [2**62 + 1] * 2  # noqa: B009

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("rows", [3, 300])
    @pytest.mark.parametrize(
        "kind", [ev.Ticks, ev.Features, ev.Proposals, ev.Decisions], ids=lambda k: k.__name__
    )
    def test_what_is_not_a_number_is_neither_sent_nor_read(
        self, kind: type[ev.Batch], rows: int, value: float
    ) -> None:
        for name in (f.name for f in msgspec.structs.fields(kind)):
            event = random_batch(kind, rows, 2)
            column = getattr(event, name)
            if not isinstance(column, np.ndarray) or column.dtype != np.float64:
                continue
            raw = orjson.loads(to_json(event))
            column.reshape(-1)[-1] = value
            with pytest.raises(WireError, match=name):
                to_json(event)
            if name in kind.in_base64:
                raw[name]["f8"] = base64.b64encode(column.tobytes()).decode()
                with pytest.raises(WireError, match=name):
                    from_json(orjson.dumps(raw))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_scores_that_are_not_numbers_are_not_sent(self, value: float) -> None:
        with pytest.raises(WireError):
            to_json(msgspec.structs.replace(SINGLES[3], scores=(0.0, value)))

    @pytest.mark.parametrize("agents", [6, 64])
    @pytest.mark.parametrize("kind", BATCHES, ids=lambda k: k.__name__)
    def test_cuts_are_at_most_256_rows_and_512_kb(self, kind: type[ev.Batch], agents: int) -> None:
        event = random_batch(kind, 600, agents)
        parts = list(cuts(event))
        assert all(isinstance(p, ev.Batch) and len(p) <= 256 for p in parts)
        same(table(parts), table([event]))
        assert max(len(to_json(p)) for p in parts) < LARGEST

    def test_a_single_event_is_not_cut(self) -> None:
        assert list(cuts(SINGLES[0])) == [SINGLES[0]]

    @settings(max_examples=40, deadline=None)
    @given(event=any_batch(), data=st.data())
    def test_a_real_column_may_come_as_numbers_or_as_its_bytes(
        self, event: ev.Batch, data: st.DataObject
    ) -> None:
        """As every release has read them, whichever of the two it writes."""
        told = orjson.loads(to_json(event))
        for name in event.__struct_fields__:
            column = getattr(event, name)
            if isinstance(column, np.ndarray) and column.dtype == np.float64:
                packed = {"f8": base64.b64encode(column.tobytes()).decode(), "shape": list(column.shape)}
                told[name] = data.draw(st.sampled_from([packed, column.tolist()]), label=name)
        same(table([from_json(orjson.dumps(told))]), table([event]))

    @pytest.mark.parametrize("raw", NOT_EVENTS.values(), ids=NOT_EVENTS.keys())
    def test_what_is_not_an_event_is_refused_with_a_reason(self, raw: bytes) -> None:
        with pytest.raises(WireError) as refused:
            from_json(raw)
        assert len(str(refused.value)) > 10

    @pytest.mark.parametrize("raw", MISSHAPEN.values(), ids=MISSHAPEN.keys())
    def test_columns_of_a_wrong_shape_or_kind_never_reach_a_stage(self, raw: bytes) -> None:
        with pytest.raises(WireError):
            from_json(raw)

    @FORMATS
    @settings(max_examples=150, deadline=None)
    @given(data=st.data())
    def test_torn_and_changed_bytes_are_an_event_or_a_reason(
        self, write: Any, read: Any, data: st.DataObject
    ) -> None:
        event = data.draw(st.sampled_from([*SINGLES, *(random_batch(k, 2, 1) for k in BATCHES)]))
        raw = bytearray(write(event))
        if data.draw(st.booleans()):
            del raw[data.draw(st.integers(0, len(raw) - 1)) :]
            with pytest.raises(WireError):
                read(bytes(raw))
            return
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(WireError):
            assert type(read(bytes(raw))) in BY_NAME.values()

    @pytest.mark.parametrize(
        "head", [b"[]", b"1", b'{"type":[]}', b'{"a":{"$":["<f8",[99999999999999999999]]}}', b'{"a":{"$":["O",[1]]}}',
                 b'{"a":{"$":["<f8",[-1]]}}', b'{"a":{"$":["<f8",[1]]}}', b'{"a":{"$":[]}}',
                 b'{"a":{"$":["nix",[1]]}}',
                 b'{"a":{"$":["<08",[1]]}}', b'{"a":{"$":[8,[1]]}}'],
    )  # fmt: skip
    def test_packed_heads_that_make_no_sense_are_refused(self, head: bytes) -> None:
        raw = len(head).to_bytes(4, "little") + head
        with pytest.raises(WireError):
            from_packed(raw)

    @given(raw=st.binary(max_size=60))
    def test_any_bytes_are_refused(self, raw: bytes) -> None:
        for read in (from_json, from_packed, unpack):
            with pytest.raises(WireError):
                read(raw)
