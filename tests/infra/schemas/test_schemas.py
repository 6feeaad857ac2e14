"""The published schemas say what is on the topics: no message breaks them, and what breaks them is no message."""

import base64
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_harness import windvane
from jsonschema import Draft202012Validator

from simulated_book import Recorded, full_book, opening, plain_run, swaps
from simulated_book import config as usual
from windvane.infra.schemas.asyncapi import document, files
from windvane.infra.schemas.messages import MESSAGES, documents
from windvane.streams.codec import WireError, cuts, from_json, to_json
from windvane.streams.events import Batch, Control, DeadLetter, Event, Fills, LearnerUpdate, Orders
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.topics import TOPICS

DOCS = Path(__file__).resolve().parents[3] / "docs"
SCHEMAS = documents()
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}

every_message = pytest.mark.parametrize("name", list(MESSAGES))
every_event = pytest.mark.parametrize("name", [n for n in MESSAGES if n not in ("Order", "Fill")])


def example(name: str) -> Any:
    """A copy of a message's example, to be changed."""
    return copy.deepcopy(SCHEMAS[name]["examples"][0])


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    """A run in which everything happens that can happen to a book."""
    (_, *events), orders = full_book()
    opened = opening(usual(shadows=("s",), shadow_kinds=("vol_trend",)))
    return plain_run([opened, *events], [*orders, *swaps()])


def records(recorded: Recorded) -> Iterator[tuple[str, bytes]]:
    """(message, record) as the topics carry them."""
    for _, event in recorded:
        for piece in cuts(event):
            yield type(piece).__name__, to_json(piece)
        if isinstance(event, Orders):
            yield from (("Order", raw) for _, raw in order_lines(event, "BTCUSD"))
        if isinstance(event, Fills):
            yield from (("Fill", raw) for _, raw in fill_lines(event, "BTCUSD"))


class TestCommand:
    def test_the_committed_documents_are_the_generated_ones(self) -> None:
        made = files()
        assert {f"schemas/{p.name}" for p in (DOCS / "schemas").iterdir()} == set(made) - {"asyncapi.json"}
        for path, raw in made.items():
            assert (DOCS / path).read_bytes() == raw, f"docs/{path} is old: run `windvane schemas --out docs`"

    def test_the_command_writes_them(self, tmp_path: Path) -> None:
        ran = windvane("schemas", "--out", tmp_path / "new")
        assert (ran.code, ran.out) == (0, "")
        assert {str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*.json")} == set(
            files()
        )


def breakages(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Messages with one column spoiled in a way that the program refuses too."""
    for field, schema in SCHEMAS[name]["properties"].items():
        if "x-shape" not in schema or field not in example(name):
            continue
        wrong: list[Any] = ["text", None, [], ["1"], [True], [[[1]]], {"f8": "AAAA"}]
        if (name, field) == ("Ticks", "ts"):  # whole numbers, or texts of their digits
            wrong[wrong.index(["1"])] = ["1.0"]
            wrong += [["1e9"], ["+1"], [" 1"], ["1_0"], [""], ["\u0661"], [["1"]]]
        wrong.append([1] if len(schema["x-shape"]) == 2 else [[1]])
        if schema["x-dtype"] == "int64":
            wrong.append([0.5])
        for value in wrong:
            yield f"{field}: {value}", example(name) | {field: value}


def refuse_null(broken: dict[str, Any]) -> Event:
    """Read a broken event; null stands for an absent column, which only the schema forbids to send."""
    if None in broken.values():
        raise WireError("null")
    return from_json(json.dumps(broken).encode())


class TestMessageSchemas:
    @every_message
    def test_a_schema_is_valid_and_its_example_is_a_message(self, name: str) -> None:
        Draft202012Validator.check_schema(SCHEMAS[name])
        VALIDATORS[name].validate(example(name))

    @every_event
    def test_the_example_of_an_event_is_read_by_the_program(self, name: str) -> None:
        event = from_json(json.dumps(example(name)).encode())
        assert json.loads(to_json(event)) == example(name)

    def test_the_records_of_the_page_on_feeding_are_messages(self) -> None:
        text = (DOCS / "feeding.md").read_text(encoding="utf-8")
        block = re.search(r"```json\n(.*?)```", text, re.DOTALL)
        assert block is not None
        raws = block[1].splitlines()
        assert [json.loads(raw)["type"] for raw in raws] == ["BookOpened", "Ticks", "BookClosed"]
        for raw in raws:
            VALIDATORS[json.loads(raw)["type"]].validate(json.loads(raw))
            from_json(raw.encode())

    def test_settings_without_agents_are_refused_by_schema_and_program_alike(self) -> None:
        for config in ({}, {"agents": []}, {"agents": ["a", 1]}):
            broken = {"type": "BookOpened", "book": "b", "config": config}
            assert not VALIDATORS["BookOpened"].is_valid(broken)
            with pytest.raises(WireError):
                from_json(json.dumps(broken).encode())

    @pytest.mark.parametrize("name", ["BookOpened", "Ticks"])
    def test_what_a_feed_may_leave_out_is_completed(self, name: str) -> None:
        _, short = SCHEMAS[name]["examples"]
        VALIDATORS[name].validate(short)
        event = from_json(json.dumps(short).encode())
        whole = json.loads(to_json(event))
        VALIDATORS[name].validate(whole)
        assert (
            from_json(to_json(event)) == event
            if name == "BookOpened"
            else whole["ts"] == [*map(int, short["ts"])]
        )

    def test_every_record_of_a_run_is_what_its_schema_says(self, recorded: Recorded) -> None:
        seen: set[str] = set()
        for name, raw in records(recorded):
            problem = next(VALIDATORS[name].iter_errors(json.loads(raw)), None)
            assert problem is None, f"{name}: {problem}"
            seen.add(name)
        singles = {"Control", "DeadLetter", "LearnerUpdate"}
        assert seen >= set(MESSAGES) - singles
        for event in (
            Control(book="b", number=1, action="halt", effective_from=0),
            DeadLetter(book="", source="ticks", reason="r", payload=""),
            LearnerUpdate(
                book="b",
                version=1,
                trained_at=1,
                effective_from=2,
                outcome="kept",
                samples=3,
                agents=("a",),
                scores=(0.5,),
            ),
        ):
            VALIDATORS[type(event).__name__].validate(json.loads(to_json(event)))

    @every_message
    def test_no_message_is_what_another_kinds_schema_says(self, name: str) -> None:
        accepting = {other for other, validator in VALIDATORS.items() if validator.is_valid(example(name))}
        assert accepting == {name}

    @every_message
    def test_what_lacks_a_field_is_refused(self, name: str) -> None:
        for field in SCHEMAS[name]["required"]:
            broken = example(name)
            del broken[field]
            assert not VALIDATORS[name].is_valid(broken), field

    @every_event
    def test_broken_columns_are_refused_by_schema_and_program_alike(self, name: str) -> None:
        for what, broken in breakages(name):
            assert not VALIDATORS[name].is_valid(broken), what
            with pytest.raises(WireError):
                refuse_null(broken)

    def test_bad_values_are_refused(self) -> None:
        for name, change in (
            ("Order", {"side": "hold"}),
            ("Order", {"qty": 0.0}),
            ("Order", {"time": "2024-02-01T00:00:00Z"}),
            ("Order", {"reason": "whim"}),
            ("Order", {"ts": 1.5}),
            ("Control", {"action": "explode"}),
            ("Ticks", {"seq": [-1]}),
            ("Ticks", {"type": "Orders"}),
            ("Features", {"regime": [[0.1] * 6]}),
        ):
            assert not VALIDATORS[name].is_valid(example(name) | change), (name, change)
        config = example("BookOpened")
        config["config"]["leverage"] = 100
        assert not VALIDATORS["BookOpened"].is_valid(config), "a setting that nobody knows"

    @pytest.mark.parametrize(
        ("name", "field"),
        [("Features", "x"), ("Features", "regime"), ("Proposals", "target"), ("Proposals", "confidence")],
    )
    def test_matrices_travel_as_their_bytes(self, recorded: Recorded, name: str, field: str) -> None:
        event = next(e for _, whole in recorded for e in cuts(whole) if type(e).__name__ == name)
        told = json.loads(to_json(event))
        VALIDATORS[name].validate(told)
        column, rows = getattr(event, field), told[field]
        assert rows["shape"] == list(column.shape)
        assert base64.b64decode(rows["f8"]) == column.astype("<f8").tobytes()

    @pytest.mark.parametrize(
        ("name", "field"), [("Features", "regime"), ("Proposals", "target"), ("Proposals", "confidence")]
    )
    def test_matrices_of_numbers_as_before_0_3_0_are_valid(
        self, recorded: Recorded, name: str, field: str
    ) -> None:
        event = next(e for _, whole in recorded for e in cuts(whole) if type(e).__name__ == name)
        column = getattr(event, field)
        told = json.loads(to_json(event)) | {field: column.tolist()}
        VALIDATORS[name].validate(told)
        again = getattr(from_json(json.dumps(told).encode()), field)
        assert again.tobytes() == column.tobytes()

    @every_event
    def test_every_column_says_its_shape(self, name: str) -> None:
        kind = MESSAGES[name]
        if not issubclass(kind, Batch):
            return
        for field, schema in SCHEMAS[name]["properties"].items():
            if field in ("type", "book") or schema.get("type") == "string" or "x-shape" not in schema:
                assert field in ("type", "book", "agents", "versions", "accounts", "model", "unproven"), (
                    f"{field} has no comment that begins with its shape, such as (n,)"
                )
            else:
                assert len(schema["x-shape"]) == (2 if field in kind.matrices else 1), field


class TestAsyncApi:
    def test_the_asyncapi_document_tells_all_topics(self) -> None:
        told = document()
        assert told["asyncapi"] == "3.0.0"
        assert {c["address"] for c in told["channels"].values()} == {f"{{prefix}}.{t.name}" for t in TOPICS}
        assert list(told["channels"]["orders"]["messages"]) == ["Order"]
        sent = {op["channel"]["$ref"] for op in told["operations"].values() if op["action"] == "send"}
        assert "#/channels/orders" in sent
        assert "#/channels/control" not in sent, "people send controls, no stage does"

    def test_every_reference_in_the_asyncapi_document_leads_somewhere(self) -> None:
        told = document()
        found = re.findall(r'"\$ref": ?"([^"]+)"', json.dumps(told))
        assert len(found) > 40
        for reference in set(found):
            place: Any = told
            for part in reference.removeprefix("#/").split("/"):
                assert part in place, reference
                place = place[part]
        for operation in told["operations"].values():
            at = operation["channel"]["$ref"].split("/")[-1]
            for message in operation["messages"]:
                assert message["$ref"].split("/")[2] == at, "an operation's messages are those of its channel"

    def test_the_examples_in_the_asyncapi_document_are_valid(self) -> None:
        for name, message in document()["components"]["messages"].items():
            assert re.fullmatch(r"[A-Za-z]+", name)
            for one in message["examples"]:
                VALIDATORS[name].validate(one["payload"])
