"""JSON Schemas (draft 2020-12) of all messages, generated from the types that the program itself reads and writes."""

from typing import Any

import msgspec

from windvane.agents.factory import AGENTS
from windvane.infra.schemas.examples import examples
from windvane.infra.schemas.notes import Note, bare, is_whole, note_of
from windvane.metamodel.base.account import REASONS
from windvane.metamodel.base.config import CLOSINGS, FILLS, ON_HALT, Costs, TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.trading.control import CONTROLS
from windvane.streams.codec import BY_NAME, MAX_ROWS
from windvane.streams.events import Batch, Times
from windvane.streams.records import Fill, Order

Schema = dict[str, Any]

MESSAGES: dict[str, type[msgspec.Struct]] = {**BY_NAME, "Order": Order, "Fill": Fill}
"""All types of messages: each is one record of a topic, or one line of a file of a run."""

PARTS: dict[str, type[msgspec.Struct]] = {
    kind.__name__: kind for kind in (TradingConfig, Costs, RiskLimits, WeighingConfig)
}
"""Types that are parts of messages, and have schemas of their own."""

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_WIDTHS = {"x": len(NAMES), "regime": 7}
_POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
_SIDES = {"enum": ["buy", "sell"]}
_SHA256: Schema = {"pattern": "^[0-9a-f]{64}$"}
_CLOSER: dict[tuple[str, str], Schema] = {
    ("Order", "side"): _SIDES,
    ("Order", "qty"): _POSITIVE,
    ("Order", "price"): _POSITIVE,
    ("Order", "reason"): {"enum": list(REASONS)},
    ("Fill", "side"): _SIDES,
    ("Fill", "qty"): _POSITIVE,
    ("Fill", "price"): _POSITIVE,
    ("Control", "action"): {"enum": list(CONTROLS)},
    ("Control", "number"): {"minimum": 1},
    ("Model", "number"): {"minimum": 1},
    ("Model", "sha256"): _SHA256,
    ("Model", "weights"): {"contentEncoding": "base64"},
    ("LearnerUpdate", "outcome"): {"enum": ["kept", "swapped"]},
    ("TradingConfig", "agents"): {"items": {"enum": list(AGENTS)}, "minItems": 1},
    ("TradingConfig", "fills"): {"enum": list(FILLS)},
    ("TradingConfig", "closing"): {"enum": list(CLOSINGS)},
    ("TradingConfig", "on_halt"): {"enum": list(ON_HALT)},
}
"""Restrictions of fields that the program enforces and the types do not express."""
_MAY_LACK = {"BookOpened": {"digest"}}
"""Fields that the program completes where a sender leaves them out."""
_MUST = {"TradingConfig": ["agents"]}
"""Fields whose default is refused, so that they must be given."""
_BOOK: Schema = {"type": "string", "minLength": 1, "description": "Name of the book; the record's key."}
_NO_BOOK: Schema = {"type": "string", "description": "Name of the book, empty where it cannot be told."}
_TIME = {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$"}
_KINDS = {
    "Orders": "; on the topic orders each row is one Order",
    "Fills": "; on the topic fills each is one Fill",
}


def components(template: str) -> dict[str, Schema]:
    """Return the schemas of all messages and their parts, by name.

    template: the form of a reference from one schema to another, such as "#/$defs/{name}".
    """
    _, schemas = msgspec.json.schema_components(
        [*MESSAGES.values()], schema_hook=lambda kind: {"type": "array"}, ref_template=template
    )
    return {name: _finished(name, schemas[name]) for name in (*MESSAGES, *PARTS)}


def documents() -> dict[str, Schema]:
    """Return one JSON Schema document for each message, by name: with all that it refers to, and a valid example."""
    schemas = components("#/$defs/{name}")
    whole: dict[str, Schema] = {}
    for name in MESSAGES:
        head: Schema = {"$schema": _DRAFT, "$id": f"urn:windvane:{name}", **schemas[name]}
        head["examples"] = examples(MESSAGES[name])
        defs = {part: schemas[part] for part in _referred(schemas, name)}
        whole[name] = head | ({"$defs": defs} if defs else {})
    return whole


def _referred(schemas: dict[str, Schema], name: str) -> list[str]:
    """The parts that a schema refers to, directly or not, in the order of PARTS."""
    referred: set[str] = set()
    waiting = [name]
    while waiting:
        text = msgspec.json.encode(schemas[waiting.pop()]).decode()
        new = {part for part in PARTS if f'"#/$defs/{part}"' in text} - referred
        referred |= new
        waiting.extend(new)
    return [part for part in PARTS if part in referred]


def _finished(name: str, schema: Schema) -> Schema:
    """The schema with columns, units and what the types leave open."""
    kind = MESSAGES.get(name) or PARTS[name]
    schema["description"] = _description(name, kind)
    properties = schema["properties"]
    required = [f for f in schema["required"] if f not in _MAY_LACK.get(name, ())] + _MUST.get(name, [])
    if required:
        schema["required"] = required
    for must in _MUST.get(name, []):
        del properties[must]["default"]
    if "book" in properties:
        properties["book"] = _NO_BOOK if name == "DeadLetter" else _BOOK
    for field in msgspec.structs.fields(kind):
        note = note_of(field.type)
        if note.shape:
            properties[field.name] = _column(kind, field, note)
            continue
        whole = properties[field.name] | _CLOSER.get((name, field.name), {})
        if field.name == "time":
            whole |= _TIME
        if note.text:
            whole.pop("description", None)  # in all schemas it stands last
            whole["description"] = note.text
        properties[field.name] = whole
    return schema


def _description(name: str, kind: type[msgspec.Struct]) -> str:
    text = " ".join((kind.__doc__ or "").split()).rstrip(".")
    if issubclass(kind, Batch):
        text += (
            "; a batch of n rows of one book: all columns have the same n, a column that the source does not have is "
            f"absent, and seq grows from row to row{_KINDS.get(name, '')}"
        )
    return f"{text}."


def _column(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo, note: Note) -> Schema:
    """An array of n rows; of n arrays where the column is a matrix."""
    whole = is_whole(field.type)
    one: Schema = {"type": "integer" if whole else "number"}
    if bare(field.type) is Times:
        one = {"anyOf": [one, {"type": "string", "pattern": "^-?[0-9]{1,19}$"}]}
    if field.name in ("seq", "order_seq"):
        one["minimum"] = 0
    named_by = getattr(kind, "matrices", {}).get(field.name, "")
    text = note.text
    if len(note.shape) == 2 and named_by:
        text += f"; an inner array has a value for each of `{named_by}`, in that order"
    described: Schema = {"x-shape": list(note.shape), "x-dtype": "int64" if whole else "float64"}
    if text.strip("; "):
        described = {"description": text.strip("; "), **described}
    width = _WIDTHS.get(field.name)
    if len(note.shape) == 2:
        one = {"type": "array", "items": one, **({"minItems": width, "maxItems": width} if width else {})}
    rows: Schema = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_ROWS}
    if field.name not in getattr(kind, "in_base64", ()):
        return {**described, **rows}
    if field.name == "x":  # no release has ever written its numbers
        return {**described, **_base64(width)}
    return {**described, "anyOf": [_base64(width), {"description": "As 0.2.0 and 0.1.0 wrote it.", **rows}]}


def _base64(width: int | None) -> Schema:
    """A matrix as its bytes: as JSON numbers it would be what limits a pipeline. width: None: of any."""
    return {
        "type": "object",
        "required": ["shape", "f8"],
        "properties": {
            "shape": {
                "type": "array",
                "description": f"[n, {width or 'number of agents'}]",
                "items": {"type": "integer", "minimum": 1, "maximum": MAX_ROWS},
                "minItems": 2,
                "maxItems": 2,
                **({"contains": {"const": width}} if width else {}),
            },
            "f8": {
                "type": "string",
                "contentEncoding": "base64",
                "description": "The matrix row by row, each value 8 bytes, little-endian IEEE 754, in base64.",
                "pattern": "^[A-Za-z0-9+/]+={0,2}$",
            },
        },
        "additionalProperties": False,
    }
