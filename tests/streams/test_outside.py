"""Records of proposals from outside: each is a dead letter or benches whom it names; none stops a book."""

import base64
import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from simulated_book import Recorded, config, opening, plain_run, ticks
from windvane.agents.benching import MISSHAPEN, NO_NUMBER, OUT_OF_RANGE, PASSED
from windvane.streams.answers import part_of
from windvane.streams.checks import Checks
from windvane.streams.codec import WireError, cuts, from_json, to_json
from windvane.streams.events import BookClosed, Decisions, Features, LearnerUpdate, Proposals, cut, join
from windvane.streams.joining import Joint
from windvane.streams.outside import read_answers
from windvane.streams.stage import Stage
from windvane.streams.topics import FEATURES, LEARNER, PROPOSALS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import StageWorker

ROWS = 700
AGENTS = ("vol_trend", "js", "buy_and_hold")
KINDS = ("vol_trend", "donchian_breakout", "buy_and_hold")
OURS = ("vol_trend", "buy_and_hold")
READERS = [stage for stage in TOPOLOGY if PROPOSALS in stage.reads]


@cache
def seen() -> Recorded:
    start = opening(config(agents=AGENTS, kinds=KINDS))
    return plain_run([start, ticks(ROWS), BookClosed(book="book", last=ROWS - 1)])


def whole(kind: type[Any]) -> Any:
    return join([e for _, e in seen() if isinstance(e, kind)])


def told(rows: list[int], /, **changes: Any) -> dict[str, Any]:
    """The true answers of `js` for some rows, as a program writes them."""
    said: Proposals = part_of(whole(Proposals), ("js",))
    columns = {name: getattr(said, name)[rows].tolist() for name in ("target", "action", "confidence")}
    plain = {"type": "Proposals", "book": "book", "seq": rows, "agents": ["js"], "versions": ["7"]}
    return {k: v for k, v in (plain | columns | changes).items() if v is not ...}


def packed(numbers: list[float], shape: list[int]) -> dict[str, Any]:
    return {"f8": base64.b64encode(np.array(numbers, "<f8").tobytes()).decode(), "shape": shape}


NAN, ROW = float("nan"), [600, 601]
BENCHING: list[tuple[dict[str, Any], list[int]]] = [
    ({"target": [[NAN], [0.5]]}, [NO_NUMBER, 0]),
    ({"target": [[None], [0.5]]}, [NO_NUMBER, 0]),
    ({"confidence": [[0.5], [float("inf")]]}, [0, NO_NUMBER]),
    ({"target": [["long"], [True]]}, [NO_NUMBER, NO_NUMBER]),
    ({"target": [[10**400], [0.5]]}, [NO_NUMBER, 0]),
    ({"target": [[1e300], [-1.0]]}, [OUT_OF_RANGE, 0]),
    ({"confidence": [[0.5], [-0.1]]}, [0, OUT_OF_RANGE]),
    ({"target": packed([NAN, 0.5], [2, 1])}, [NO_NUMBER, 0]),
    ({"target": packed([0.5, 0.5, 0.5], [3, 1])}, [MISSHAPEN, MISSHAPEN]),
    ({"target": {"f8": "!!", "shape": [2, 1]}}, [MISSHAPEN, MISSHAPEN]),
    ({"target": [[0.5]]}, [MISSHAPEN, MISSHAPEN]),
    ({"target": [[0.5, 0.5], [0.5, 0.5]]}, [MISSHAPEN, MISSHAPEN]),
    ({"target": [0.5, 0.5]}, [MISSHAPEN, MISSHAPEN]),
    ({"target": ...}, [MISSHAPEN, MISSHAPEN]),
    ({"confidence": "high"}, [MISSHAPEN, MISSHAPEN]),
    ({"action": [[None], [2.5]]}, [0, 0]),
    ({"action": ...}, [0, 0]),
    ({"versions": 7}, [0, 0]),
    ({"benched": [[PASSED], [0]]}, [PASSED, 0]),
    ({"benched": [[99], [-1]]}, [MISSHAPEN, MISSHAPEN]),
    ({"benched": "never"}, [MISSHAPEN, MISSHAPEN]),
]
REFUSED: list[tuple[Any, str]] = [
    ({"agents": ["js", "nobody"], "target": [[0, 0]] * 2, "confidence": [[0, 0]] * 2}, "has no agent nobody"),
    ({"agents": ["js", "js"], "target": [[0, 0]] * 2, "confidence": [[0, 0]] * 2}, "name an agent twice"),
    ({"agents": []}, "has the shape"),
    ({"seq": [601, 600]}, "seq must grow"),
    ({"seq": [600.5, 601]}, "not an event"),
    ({"seq": [-1, 600]}, "seq must grow"),
    ({"seq": [600, 2**70]}, "not an event"),
    ({"seq": [600, 2**61]}, "too far ahead"),
    ({"seq": []}, "a batch needs"),
    ({"book": 7}, "not an event"),
    ({"type": "Decisions"}, "not an event"),
    ({"book": "other"}, ""),
    ({"extra": "x" * 700_000}, "cut it to at most 256 rows"),
    (b"", "not an event"),
    (b"\xff\x00", "not an event"),
    (b"[" * 100_000, "not an event"),
    (b'{"type":"Proposals"}', "not an event"),
]


def record(changes: Any) -> bytes:
    return changes if isinstance(changes, bytes) else json.dumps(told(ROW, **changes)).encode()


class Reader:
    """A stage that reads proposals, on one partition, with its features there."""

    def __init__(self, stage: Stage, checks: Checks | None = None, keyed: bool = False) -> None:
        self.worker = StageWorker(stage, "test of 1", checks=checks)
        self.offset = 0
        self.letters: list[str] = []
        self.rows: list[Any] = []
        kinds = (KINDS[0], "remote", KINDS[2])
        self.put(FEATURES, to_json(opening(config(agents=AGENTS, kinds=kinds, keyed=keyed))))
        for update in [e for _, e in seen() if isinstance(e, LearnerUpdate)]:
            self.put(LEARNER, to_json(update))
        for piece in cuts(whole(Features)):
            self.put(FEATURES, to_json(piece))
        self.step()

    def put(self, topic: Any, raw: bytes, signature: bytes = b"") -> None:
        self.worker.receive(topic, self.offset, raw, 0, signature)
        self.offset += 1

    def proposals(self, agents: tuple[str, ...], start: int, stop: int) -> None:
        for piece in cuts(cut(part_of(whole(Proposals), agents), start, stop)):
            self.put(PROPOSALS, to_json(piece))

    def step(self) -> None:
        for sent in self.worker.step():
            if sent.topic.name == "dead-letters":
                self.letters.append(json.loads(sent.raw)["reason"])
            elif sent.topic.name in ("decisions", "learner"):
                self.rows.append(from_json(sent.raw))

    @property
    def next_seq(self) -> int:
        return self.worker.logic.progress("book").next_seq

    @property
    def decisions(self) -> Decisions:
        return join([e for e in self.rows if isinstance(e, Decisions)])


@pytest.mark.parametrize("stage", READERS, ids=lambda stage: stage.name)
class TestRecordsFromOutside:
    @pytest.mark.parametrize(("changes", "benched"), BENCHING, ids=str)
    def test_what_names_its_rows_stands_for_them(
        self, stage: Stage, changes: dict[str, Any], benched: list[int]
    ) -> None:
        reader = Reader(stage)
        reader.proposals(OURS, 0, ROWS)
        reader.proposals(("js",), 0, ROW[0])
        reader.put(PROPOSALS, record(changes))
        reader.proposals(("js",), ROW[0], ROWS)  # of answers that come twice the first counts
        reader.step()
        assert reader.next_seq == ROWS
        assert not reader.letters
        if stage.name == "ensemble":
            told_of = reader.decisions.benched
            found = np.zeros((ROWS, 3), np.int64) if told_of is None else told_of
            assert found[ROW, 1].tolist() == benched
            found[ROW, 1] = 0
            assert not found.any()

    @pytest.mark.parametrize(("changes", "why"), REFUSED, ids=lambda value: str(value)[:40])
    def test_what_does_not_name_them_is_a_dead_letter(self, stage: Stage, changes: Any, why: str) -> None:
        plain, reader = Reader(stage), Reader(stage)
        for one in (plain, reader):
            one.proposals(OURS, 0, ROWS)
        reader.put(PROPOSALS, record(changes))
        for one in (plain, reader):
            one.proposals(("js",), 0, ROWS)
            one.step()
        assert [why in letter for letter in reader.letters] == ([True] if why else [])
        assert [to_json(e) for e in reader.rows] == [to_json(e) for e in plain.rows]
        assert reader.next_seq == ROWS

    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_doubled_late_and_mixed_up_answers_change_nothing(
        self, stage: Stage, data: st.DataObject
    ) -> None:
        """Of copies with other numbers, too: the first of each row counts."""
        plain, reader = Reader(stage), Reader(stage)
        plain.proposals(AGENTS, 0, ROWS)
        plain.step()
        for start in data.draw(st.permutations(range(0, ROWS, 50))):
            reader.proposals(("js",), start, start + 50)
            for _ in range(data.draw(st.integers(0, 2))):
                seq = [*range(start, min(start + data.draw(st.integers(1, 50)), ROWS))]
                lies = {"target": [[-1.0]] * len(seq), "confidence": [[1.0]] * len(seq)}
                reader.put(PROPOSALS, json.dumps(told(seq, **lies)).encode())
            if data.draw(st.booleans()):
                reader.step()
        reader.proposals(OURS, 0, ROWS)
        reader.step()
        assert reader.next_seq == ROWS
        if stage.name == "ensemble":
            assert reader.decisions.weights.tobytes() == plain.decisions.weights.tobytes()
            assert reader.decisions.equities.tobytes() == plain.decisions.equities.tobytes()
        else:
            assert [to_json(e) for e in reader.rows] == [to_json(e) for e in plain.rows]

    def test_who_claims_anothers_rows_later_changes_nothing(self, stage: Stage) -> None:
        plain, reader = Reader(stage), Reader(stage)
        for one in (plain, reader):
            one.proposals(AGENTS, 0, ROWS)
        lies = {"agents": ["vol_trend", "js"], "versions": ["", ""]}
        columns = {name: [[1.0, 1.0]] * 2 for name in ("target", "confidence")} | {"action": [[1, 1]] * 2}
        reader.put(PROPOSALS, json.dumps(told(ROW, **lies, **columns)).encode())
        for one in (plain, reader):
            one.step()
        assert [to_json(e) for e in reader.rows] == [to_json(e) for e in plain.rows]

    def test_where_a_book_asks_for_keys_only_what_they_sign_counts(self, stage: Stage) -> None:
        def proven(agents: tuple[str, ...], raw: bytes, signature: bytes) -> bool:
            return set(agents) <= set(signature.decode().split())

        reader = Reader(stage, Checks(proven=proven), keyed=True)
        for piece in cuts(part_of(whole(Proposals), OURS)):
            reader.put(PROPOSALS, to_json(piece), b"vol_trend buy_and_hold")
        lies = record({"target": [[-1.0], [-1.0]]})
        for signature in (b"", b"vol_trend buy_and_hold", b"\xff".hex().encode()):
            reader.put(PROPOSALS, lies, signature)
        claim = replace(cut(whole(Proposals), 0, 5), unproven=True)
        reader.put(PROPOSALS, to_json(claim), b"js")
        for piece in cuts(part_of(whole(Proposals), ("js",))):
            reader.put(PROPOSALS, to_json(replace(piece, unproven=True)), b"js")
        reader.step()
        assert reader.next_seq == ROWS
        assert reader.letters
        assert all("is not signed with the key of each" in letter for letter in reader.letters)
        if stage.name == "ensemble":
            assert reader.decisions.benched is None
            assert reader.decisions.weights.tobytes() == whole_weights(stage)

    def test_where_it_asks_for_none_nobody_needs_one(self, stage: Stage) -> None:
        reader = Reader(stage, Checks(proven=lambda agents, raw, signature: False))
        reader.proposals(AGENTS, 0, ROWS)
        reader.step()
        assert reader.next_seq == ROWS
        assert not reader.letters


def whole_weights(stage: Stage) -> bytes:
    plain = Reader(stage)
    plain.proposals(AGENTS, 0, ROWS)
    plain.step()
    return plain.decisions.weights.tobytes()


@settings(max_examples=300, deadline=None)
@given(raw=st.one_of(st.binary(max_size=60), st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(
        ["type", "book", "seq", "agents", "target", "confidence", "f8", "shape"]), inner, max_size=8)),
    max_leaves=20,
).map(lambda value: json.dumps({"type": "Proposals", "book": "b", "seq": [1], "agents": ["a"], **(
    value if isinstance(value, dict) else {"target": value})}).encode())))  # fmt: skip
def test_whatever_is_sent_is_an_event_or_a_reason(raw: bytes) -> None:
    try:
        event = read_answers(raw)
    except WireError:
        return
    if isinstance(event, Proposals):
        assert event.target.shape == event.confidence.shape == (len(event), len(event.agents))


@settings(max_examples=200, deadline=None)
@given(spans=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 15)), max_size=12))
def test_of_each_row_the_first_answer_counts_whatever_came_beside_it(spans: list[tuple[int, int]]) -> None:
    joint, first = Joint(("a",)), dict[int, float]()
    for number, (start, rows) in enumerate([*spans, (0, 45)]):
        said = (number + 1) / 100
        columns = {name: np.full((rows, 1), said) for name in ("target", "confidence")}
        seq, action = np.arange(start, start + rows), np.zeros((rows, 1), np.int64)
        joint.add(Proposals(book="b", seq=seq, agents=("a",), versions=("",), action=action, **columns))
        first |= {row: said for row in seq.tolist() if row not in first}
    joint.add(replace(cut(whole(Features), 0, 45), book="b"))
    found: list[float] = []
    while joint.next_seq < joint.ready()[1]:
        found += joint.pop(joint.ready()[1]).target[:, 0].tolist()
    assert found == [first[row] for row in range(45)]
