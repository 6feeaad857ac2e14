"""The topics on the broker, as one table: made by us, never by accident, and checked before anything runs."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from windvane.infra.kafka.broker.admin import Found, Setup
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError
from windvane.streams import topics
from windvane.streams.worker import MOST_MODEL_BYTES

SNAPSHOTS = "snapshots"
"""States of stages: key STAGE and agents, on the partition that they are of."""

MOST_BYTES = 1_048_588
"""Largest record of a topic of events; ours are cut at half of it."""

_AROUND = 64 * 1024

MOST_STATE_BYTES = 16 * 1024 * 1024 + _AROUND
"""Largest record of the compacted topic: 16 MiB, and what goes around it."""

COMPRESSIONS = ("uncompressed", "gzip")
"""What every reader can read; the broker writes anew what comes otherwise, or one record would stop a partition."""

_DAY = 24 * 3600 * 1000
_FOREVER = -1


class LayoutError(SettingsError):
    """Topics that are missing or wrong: one sentence with the command that mends it."""


class Kept(NamedTuple):
    """What becomes of the records of a topic."""

    name: str  # without the prefix
    key: str  # "book": on its partition
    retention: int = _FOREVER  # ms since the broker got a record; compacted topics keep the last of every key
    compacted: bool = False
    written_by: str = "every stage"
    most_bytes: int = MOST_BYTES

    @property
    def cleanup(self) -> str:
        return "compact" if self.compacted else "delete"

    def config(self, replication: int) -> dict[str, str]:
        """What the broker is told; time of arrival, since event times of a replay would expire at once."""
        config = {
            "cleanup.policy": self.cleanup,
            "retention.ms": str(self.retention),
            "max.message.bytes": str(self.most_bytes),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(max(1, replication - 1)),
            "compression.type": COMPRESSIONS[0],
        }
        if self.compacted:
            config |= {"segment.bytes": str(128 * 1024 * 1024), "min.cleanable.dirty.ratio": "0.2"}
        return config


_RETENTION = {
    topics.TICKS: 30 * _DAY,
    topics.FEATURES: 7 * _DAY,
    topics.PROPOSALS: 7 * _DAY,
    topics.DECISIONS: 90 * _DAY,
    topics.ORDERS: 90 * _DAY,
    topics.FILLS: 90 * _DAY,
    topics.STATEMENTS: 365 * _DAY,
    topics.LEARNER: _FOREVER,
    topics.CONTROL: _FOREVER,  # a halt that was forgotten would not halt
    topics.MODELS: _FOREVER,
    topics.DEAD_LETTERS: 30 * _DAY,
}

_MOST = {topics.MODELS: MOST_MODEL_BYTES + _AROUND}

LAYOUT = (
    *(
        Kept(t.name, "book", _RETENTION[t], written_by=t.written_by, most_bytes=_MOST.get(t, MOST_BYTES))
        for t in topics.TOPICS
    ),
    Kept(SNAPSHOTS, "stage and agents", compacted=True, most_bytes=MOST_STATE_BYTES),
)


class Row(NamedTuple):
    """A topic as a person sees it."""

    topic: str
    partitions: int  # 0: it is missing
    replication: int
    cleanup: str
    retention: str
    records: int  # from the first kept to the end, markers of transactions too
    key: str
    written_by: str


async def create(settings: KafkaSettings, partitions: int = 4, replication: int = 1) -> list[str]:
    """Make what is missing, widen what is empty, mend what is set wrongly; gives a sentence for each.

    Raises LayoutError where a topic that holds records has another number of partitions: books would move.
    """
    _check_numbers(partitions, replication)
    async with Setup(settings) as setup:
        found = await setup.topics(_names(settings))
        done: list[str] = []
        for kept in LAYOUT:
            name = settings.topic(kept.name)
            there = found.get(name)
            if there is None:
                await setup.create(name, partitions, replication, kept.config(replication))
                done.append(f"made {name} with {_partitions(partitions)}, {_spoken(kept)}")
                continue
            if there.partitions != partitions:
                records = (await setup.ends({name: there})).get(name, 0)
                if records or there.partitions > partitions:
                    raise LayoutError(_moves(settings, name, there.partitions, partitions))
                await setup.widen(name, partitions)
                done.append(f"widened {name} from {there.partitions} to {_partitions(partitions)}")
            wrong = _wrong(kept, there)
            if wrong:
                await setup.set(name, there, kept.config(replication), wrong)
                done.append(f"set {' and '.join(wrong)} of {name}")
        await setup.settled(dict.fromkeys(_names(settings), partitions))
    return done


async def check(settings: KafkaSettings) -> int:
    """The number of partitions of the topics of the books; raises LayoutError with the command that mends them."""
    async with Setup(settings) as setup:
        found = await setup.topics(_names(settings))
    for sentence in _faults(settings, found):
        raise LayoutError(sentence)
    return found[settings.topic(topics.TICKS)].partitions


async def cluster(settings: KafkaSettings) -> str:
    """The id of the cluster: offsets of one mean nothing on another."""
    async with Setup(settings) as setup:
        return await setup.cluster()


async def describe(settings: KafkaSettings) -> list[Row]:
    """Every topic as it is, and those that are missing."""
    async with Setup(settings) as setup:
        found = await setup.topics(_names(settings))
        records = await setup.records(found)
    rows: list[Row] = []
    for kept in LAYOUT:
        name = settings.topic(kept.name)
        there = found.get(name)
        if there is None:
            rows.append(Row(name, 0, 0, "missing", "", 0, kept.key, kept.written_by))
            continue
        cleanup, retention = there.config.get("cleanup.policy", ""), there.config.get("retention.ms", "")
        rows.append(
            Row(
                name,
                there.partitions,
                there.replication,
                cleanup,
                spoken_time(int(retention or _FOREVER)),
                records[name],
                kept.key,
                kept.written_by,
            )
        )
    return rows


def _names(settings: KafkaSettings) -> list[str]:
    return [settings.topic(kept.name) for kept in LAYOUT]


def _check_numbers(partitions: int, replication: int) -> None:
    if not 1 <= partitions <= 1024:
        raise LayoutError(f"--partitions is {partitions}: give 1 to 1024")
    if not 1 <= replication <= 16:
        raise LayoutError(f"--replication is {replication}: give 1 to the number of brokers")


def _faults(settings: KafkaSettings, found: Mapping[str, Found]) -> Iterator[str]:
    """What is wrong, a sentence each, missing topics first."""
    widest = max((t.partitions for t in found.values()), default=4)
    mend = f"run `windvane topics create --bootstrap {settings.bootstrap} --prefix {settings.prefix}"
    for name in _names(settings):
        if name not in found:
            hidden = "" if settings.username is None else f", or {settings.username} may not see it"
            yield f"topic {name} is missing{hidden}: {mend} --partitions {widest}`"
    for kept in LAYOUT:
        name = settings.topic(kept.name)
        there = found[name]
        if there.partitions != widest:
            other = next(n for n, t in found.items() if t.partitions == widest)
            has = _partitions(there.partitions)
            yield f"topic {name} has {has}, {other} has {widest}: {mend} --partitions {widest}`"
        for setting in _wrong(kept, there):
            value, right = there.config.get(setting, ""), kept.config(1)[setting]
            yield (
                f"topic {name} has {setting}={value}, it needs {right}: {mend} --partitions {widest}`, "
                "which sets it"
            )


def _wrong(kept: Kept, there: Found) -> list[str]:
    """Settings without which something would be lost or refused; the rest is the operator's to choose."""
    config, want, wrong = there.config, kept.config(1), []
    if config.get("cleanup.policy") != kept.cleanup:
        wrong.append("cleanup.policy")
    if not kept.compacted and kept.retention == _FOREVER and config.get("retention.ms") != str(_FOREVER):
        wrong.append("retention.ms")
    if int(config.get("max.message.bytes", "0")) < kept.most_bytes:
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


def _spoken(kept: Kept) -> str:
    return f"compacted by {kept.key}" if kept.compacted else f"kept {spoken_time(kept.retention)}"


def spoken_time(ms: int) -> str:
    """A retention for people."""
    if ms < 0:
        return "for ever"
    return f"{ms // _DAY} days" if ms >= 2 * _DAY else f"{ms / 3_600_000:g} h"


def table(rows: list[Row]) -> str:
    """Rows as lines of text, a column each."""
    cells: list[tuple[Any, ...]] = [
        ("topic", "partitions", "replicas", "cleanup", "kept", "records", "key", "written by")
    ]
    cells += [tuple(f"{v:,}" if isinstance(v, int) else v for v in row) for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return "\n".join(
        "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in cells
    )
