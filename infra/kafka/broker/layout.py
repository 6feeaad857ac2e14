"""The topics on the broker, as one table: `create` makes them, and `check` runs before anything else does.

No client makes a topic by accident: each asks only for topics that were checked.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from windvane.infra.kafka.broker.admin import Setup, TopicState
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError
from windvane.streams import topics
from windvane.streams.checks import MOST_MODEL_BYTES

SNAPSHOTS = "snapshots"
"""The topic of stages' states: the key is the stage and its agents, the partition is the one that the state is of."""

SUMMARIES = "summaries"
"""The topic on which workers tell of themselves and their books, for `windvane status`; nothing else depends on it."""

MOST_BYTES = 1_048_588
"""Largest record of a topic of events, bytes; the stages cut theirs at half of it."""

_AROUND = 64 * 1024

MOST_STATE_BYTES = 16 * 1024 * 1024 + _AROUND
"""Largest record of the compacted topic: 16 MiB, and what the protocol adds."""

COMPRESSIONS = ("uncompressed", "gzip")
"""Compressions that every reader can read; the broker writes others anew, or one record would stop a partition."""

_DAY = 24 * 3600 * 1000
_FOREVER = -1
_SEGMENT = 600_000
"""Summaries are written all the time and read as a whole, so what is outdated among them is to go soon: ms."""


class LayoutError(SettingsError):
    """Topics are missing or wrong; the message is one sentence with the command that corrects them."""


class TopicLayout(NamedTuple):
    """How a topic is to be, and what becomes of its records."""

    name: str  # without the prefix
    key: str  # "book": on its partition
    retention: int = _FOREVER  # ms since the broker got a record; compacted topics keep the last of every key
    compacted: bool = False
    written_by: str = "every stage"
    most_bytes: int = MOST_BYTES
    segment_bytes: int = 128 * 1024 * 1024  # of a compacted topic: the last segment is never compacted
    optional: bool = False  # workers work on where it is missing, as on a broker of an earlier version

    @property
    def cleanup(self) -> str:
        """What the broker does with old records, in its word for it."""
        return "compact" if self.compacted else "delete"

    def config(self, replication: int) -> dict[str, str]:
        """The topic's settings on the broker. Records expire by time of arrival, since a replay's events are old."""
        config = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention),
            "max.message.bytes": str(self.most_bytes),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(max(1, replication - 1)),
            "compression.type": COMPRESSIONS[0],
        }
        if self.compacted:
            config |= {"segment.bytes": str(self.segment_bytes), "min.cleanable.dirty.ratio": "0.2"}
        if self.name == SUMMARIES:
            config |= {"segment.ms": str(_SEGMENT), "min.cleanable.dirty.ratio": "0.05"}
        return config


_RETENTION = {
    topics.TICKS: 30 * _DAY,
    topics.FEATURES: 7 * _DAY,
    topics.PROPOSALS: 7 * _DAY,
    topics.DECISIONS: 90 * _DAY,
    topics.ORDERS: 90 * _DAY,
    topics.FILLS: 90 * _DAY,
    topics.STATEMENTS: 365 * _DAY,
    topics.SHADOWS: 365 * _DAY,
    topics.LEARNER: _FOREVER,
    topics.CONTROL: _FOREVER,  # a halt that was forgotten would not halt
    topics.MODELS: _FOREVER,
    topics.DEAD_LETTERS: 30 * _DAY,
}

_MOST = {topics.MODELS: MOST_MODEL_BYTES + _AROUND}

LAYOUT = (
    *(
        TopicLayout(
            t.name, "book", _RETENTION[t], written_by=t.written_by, most_bytes=_MOST.get(t, MOST_BYTES)
        )
        for t in topics.TOPICS
    ),
    TopicLayout(SNAPSHOTS, "stage and agents", compacted=True, most_bytes=MOST_STATE_BYTES),
    TopicLayout(SUMMARIES, "stage and agents", compacted=True, segment_bytes=4 * 1024 * 1024, optional=True),
)


class Row(NamedTuple):
    """A topic as `windvane topics describe` shows it."""

    topic: str
    partitions: int  # 0: it is missing
    replication: int
    cleanup: str
    retention: str
    records: int  # from the first kept to the end, markers of transactions too
    key: str
    written_by: str


async def create(settings: KafkaSettings, partitions: int = 4, replication: int = 1) -> list[str]:
    """Make what is missing, widen what is empty, mend what is set wrongly; returns a sentence for each thing done.

    Raises LayoutError where a topic that holds records has another number of partitions, since books would move.
    """
    _check_numbers(partitions, replication)
    async with Setup(settings) as setup:
        existing = await setup.topics(_names(settings))
        done: list[str] = []
        for layout in LAYOUT:
            name = settings.topic(layout.name)
            state = existing.get(name)
            if state is None:
                await setup.create(name, partitions, replication, layout.config(replication))
                done.append(f"made {name} with {_partitions(partitions)}, {_spoken(layout)}")
                continue
            if state.partitions != partitions:
                records = (await setup.ends({name: state})).get(name, 0)
                if records or state.partitions > partitions:
                    raise LayoutError(_moves(settings, name, state.partitions, partitions))
                await setup.widen(name, partitions)
                done.append(f"widened {name} from {state.partitions} to {_partitions(partitions)}")
            wrong = _wrong(layout, state)
            if wrong:
                await setup.set(name, state, layout.config(replication), wrong)
                done.append(f"set {' and '.join(wrong)} of {name}")
        await setup.settled(dict.fromkeys(_names(settings), partitions))
    return done


async def check(settings: KafkaSettings) -> int:
    """Return the number of partitions of the books' topics; raises LayoutError with the command that corrects them."""
    async with Setup(settings) as setup:
        existing = await setup.topics(_names(settings))
    for sentence in _faults(settings, existing):
        raise LayoutError(sentence)
    return existing[settings.topic(topics.TICKS)].partitions


async def has_summaries(settings: KafkaSettings) -> bool:
    """Whether the topic on which workers tell of themselves is there."""
    async with Setup(settings) as setup:
        return bool(await setup.topics([settings.topic(SUMMARIES)]))


def mending(settings: KafkaSettings, partitions: int) -> str:
    """The command that makes and mends topics."""
    where = f"--bootstrap {settings.bootstrap} --prefix {settings.prefix}"
    return f"`windvane topics create {where} --partitions {partitions}`"


async def cluster(settings: KafkaSettings) -> str:
    """The id of the cluster, by which states are kept: offsets of one cluster mean nothing on another."""
    async with Setup(settings) as setup:
        return await setup.cluster()


async def describe(settings: KafkaSettings) -> list[Row]:
    """Every topic of LAYOUT as the broker has it; those that are missing have 0 partitions."""
    async with Setup(settings) as setup:
        existing = await setup.topics(_names(settings))
        records = await setup.records(existing)
    rows: list[Row] = []
    for layout in LAYOUT:
        name = settings.topic(layout.name)
        state = existing.get(name)
        if state is None:
            rows.append(Row(name, 0, 0, "missing", "", 0, layout.key, layout.written_by))
            continue
        cleanup, retention = state.config.get("cleanup.policy", ""), state.config.get("retention.ms", "")
        rows.append(
            Row(
                name,
                state.partitions,
                state.replication,
                cleanup,
                spoken_time(int(retention or _FOREVER)),
                records[name],
                layout.key,
                layout.written_by,
            )
        )
    return rows


def _names(settings: KafkaSettings) -> list[str]:
    return [settings.topic(layout.name) for layout in LAYOUT]


def _check_numbers(partitions: int, replication: int) -> None:
    if not 1 <= partitions <= 1024:
        raise LayoutError(f"--partitions is {partitions}: give 1 to 1024")
    if not 1 <= replication <= 16:
        raise LayoutError(f"--replication is {replication}: give 1 to the number of brokers")


def _faults(settings: KafkaSettings, existing: Mapping[str, TopicState]) -> Iterator[str]:
    """What is wrong, one sentence each, beginning with the topics that are missing."""
    widest = max((t.partitions for t in existing.values()), default=4)
    mend = f"run {mending(settings, widest)}"
    for layout in LAYOUT:
        name = settings.topic(layout.name)
        if name not in existing and not layout.optional:
            hidden = "" if settings.username is None else f", or {settings.username} may not see it"
            yield f"topic {name} is missing{hidden}: {mend}"
    for layout in LAYOUT:
        name = settings.topic(layout.name)
        if name not in existing:
            continue
        state = existing[name]
        if state.partitions != widest:
            other = next(n for n, t in existing.items() if t.partitions == widest)
            has = _partitions(state.partitions)
            yield f"topic {name} has {has}, {other} has {widest}: {mend}"
        for setting in _wrong(layout, state):
            value, right = state.config.get(setting, ""), layout.config(1)[setting]
            yield f"topic {name} has {setting}={value}, it needs {right}: {mend}, which sets it"


def _wrong(layout: TopicLayout, state: TopicState) -> list[str]:
    """Names of settings with which records would be lost or refused; all others are the operator's to choose."""
    config, want, wrong = state.config, layout.config(1), []
    if config.get("cleanup.policy") != layout.cleanup:
        wrong.append("cleanup.policy")
    if not layout.compacted and layout.retention == _FOREVER and config.get("retention.ms") != str(_FOREVER):
        wrong.append("retention.ms")
    if int(config.get("max.message.bytes", "0")) < layout.most_bytes:
        wrong.append("max.message.bytes")
    if config.get("message.timestamp.type") != want["message.timestamp.type"]:
        wrong.append("message.timestamp.type")
    if config.get("compression.type") not in COMPRESSIONS:
        wrong.append("compression.type")
    return wrong


def _moves(settings: KafkaSettings, name: str, has: int, want: int) -> str:
    return (
        f"topic {name} has {_partitions(has)}, not {want}, and a book must never change its partition: "
        f"give --partitions {has} or another --prefix than {settings.prefix}, or delete the topic"
    )


def _partitions(n: int) -> str:
    return f"{n} partition" + ("" if n == 1 else "s")


def _spoken(layout: TopicLayout) -> str:
    return f"compacted by {layout.key}" if layout.compacted else f"kept {spoken_time(layout.retention)}"


def spoken_time(ms: int) -> str:
    """A retention time, in ms, in words."""
    if ms < 0:
        return "for ever"
    return f"{ms // _DAY} days" if ms >= 2 * _DAY else f"{ms / 3_600_000:g} h"


def table(rows: list[Row]) -> str:
    """The rows as lines of text with a heading, in aligned columns."""
    cells: list[tuple[Any, ...]] = [
        ("topic", "partitions", "replicas", "cleanup", "kept", "records", "key", "written by")
    ]
    cells += [tuple(f"{v:,}" if isinstance(v, int) else v for v in row) for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )
