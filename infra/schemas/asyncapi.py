"""An AsyncAPI 3 document of all topics: their messages, writers, readers and keys, and how long records are kept."""

from typing import Any

import msgspec

from windvane.agents.program import VERSION
from windvane.infra.kafka.broker.layout import LAYOUT, TopicLayout
from windvane.infra.schemas.examples import examples
from windvane.infra.schemas.messages import MESSAGES, components
from windvane.streams.topics import FILLS, ORDERS, TOPICS, Topic
from windvane.streams.topology import TOPOLOGY

Document = dict[str, Any]

_ABOUT = (
    "Windvane decides, tick by tick, which trading agent to believe. The key of every event is the name of its book, "
    "its partition is murmur2(key) modulo the number of partitions, as with any Kafka client's default partitioner, "
    "and all events of a book lie in one order. Times are UNIX nanoseconds UTC, event time. Decisions, orders and "
    "fills are written in transactions: read with isolation.level read_committed. The types of messages may get "
    "further fields: ignore what you do not know. docs/feeding.md says how a program writes ticks, docs/subscribers.md "
    "how one reads orders. PREFIX.snapshots holds bytes of the program's own."
)
_SINGLE = {ORDERS.name: ("Order",), FILLS.name: ("Fill",)}
_OTHERS = {
    "ticks": "a feed or a replay",
    "control": "people, signed",
    "models": "people, signed",
}


def document() -> Document:
    """Return the whole document as JSON values; it has no references to other documents."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Windvane", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "An Apache Kafka broker of the operator's.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092", "description": "HOST:PORT"}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": {name: op for topic in TOPICS for name, op in _operations(topic).items()},
        "components": {
            "messages": {name: _message(name) for name in sorted({m for t in TOPICS for m in _carried(t)})},
            "schemas": _schemas(),
        },
    }


def _carried(topic: Topic) -> tuple[str, ...]:
    """Names of the types of messages of which a record of the topic is one."""
    return _SINGLE.get(topic.name) or tuple(kind.__name__ for kind in topic.carries)


def _schemas() -> Document:
    """The schemas of all messages that a topic has, and of their parts, by name."""
    carried = {name for topic in TOPICS for name in _carried(topic)}
    schemas = components("#/components/schemas/{name}")
    return {name: schema for name, schema in schemas.items() if name in carried or name not in MESSAGES}


def _channel(topic: Topic) -> Document:
    """The channel of a topic: its address, messages and settings."""
    kept = next(k for k in LAYOUT if k.name == topic.name)
    return {
        "address": f"{{prefix}}.{topic.name}",
        "title": topic.name,
        "description": _stay(topic, kept),
        "parameters": {
            "prefix": {
                "default": "windvane",
                "description": "What all topics of one installation start with.",
            }
        },
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _carried(topic)},
        "bindings": {
            "kafka": {
                "topicConfiguration": {
                    "cleanup.policy": [kept.cleanup],
                    "retention.ms": kept.retention,
                    "max.message.bytes": kept.most_bytes,
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _stay(topic: Topic, kept: TopicLayout) -> str:
    """Sentences on who writes and who reads a topic, and how long its records stay."""
    readers = [stage.name for stage in TOPOLOGY if topic in stage.reads]
    stay = "for ever" if kept.retention < 0 else f"{kept.retention // 86_400_000} days after they came"
    return (
        f"Written by {_OTHERS.get(topic.name, topic.written_by)}; read by "
        f"{', '.join(readers) or 'people and programs outside'}. "
        f"Records stay {stay} unless the operator says otherwise."
    )


def _operations(topic: Topic) -> Document:
    """The operations of stages on a topic: "send" where one writes it, "receive" where one reads it."""
    channel = {"$ref": f"#/channels/{topic.name}"}
    messages = [{"$ref": f"#/channels/{topic.name}/messages/{name}"} for name in _carried(topic)]
    name = "".join(part.capitalize() for part in topic.name.split("-"))
    operations: Document = {}
    for action, stages in (
        ("send", [stage.name for stage in TOPOLOGY if topic in stage.emits]),
        ("receive", [stage.name for stage in TOPOLOGY if topic in stage.reads]),
    ):
        if stages:
            summary = f"By {', '.join(stages)}."
            operations[f"{action}{name}"] = {
                "action": action,
                "summary": summary,
                "channel": channel,
                "messages": messages,
            }
    return operations


def _message(name: str) -> Document:
    """The entry of a type of message: its key, its schema and an example."""
    kind = MESSAGES[name]
    return {
        "name": name,
        "title": name,
        "contentType": "application/json",
        "bindings": {
            "kafka": {
                "key": {"type": "string", "minLength": 1, "description": "Name of the book, UTF-8."},
                "bindingVersion": "0.5.0",
            }
        },
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [
            {"name": said, "payload": payload}
            for said, payload in zip(("one", "short"), examples(kind), strict=False)
        ],
    }


def files() -> dict[str, bytes]:
    """Return the contents of all files that `windvane schemas` writes, by their path below its output folder."""
    from windvane.infra.schemas.messages import documents

    documents_by_path = {f"schemas/{name}.json": schema for name, schema in documents().items()}
    return {path: _text(value) for path, value in {**documents_by_path, "asyncapi.json": document()}.items()}


def _text(value: Document) -> bytes:
    """A document as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
