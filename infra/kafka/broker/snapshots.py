"""Where stages keep their states: a folder on this machine, or the topic `snapshots` where machines share no folder."""

import asyncio
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from windvane.infra.kafka.broker.clients import close, connect
from windvane.infra.kafka.broker.layout import SNAPSHOTS
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.runs.files import replace_file
from windvane.streams.stage import StateError

_HEAD = 4  # CRC-32
MOST_BYTES = 16 * 1024 * 1024
"""A larger state, compressed, is written to the topic in parts."""

_NAMES_PARTS = b"parts "
"""What a record begins with that names the parts of a state; a compressed state begins with another byte."""

_ABANDONED_MS = 3_600_000
"""Parts that no record names after so long are left over by a worker that was killed while it wrote them."""


class SnapshotStore(Protocol):
    """Keeps the newest state of every stage and partition; several partitions use one store at the same time."""

    async def load(self, name: str, partition: int) -> bytes | None:
        """The state that was saved last, None where none was.

        Called once in every recovery of a partition, which waits for it. Raises StateError where it is damaged.
        """
        ...

    async def save(self, name: str, partition: int, state: Sequence[bytes]) -> None:
        """Keep a state, which comes in parts; when this returns it survives a crash.

        Called by a partition's saver every few seconds, one state after the other, while the partition works on: it
        may take its time, and must not block the event loop.
        """
        ...

    async def close(self) -> None:
        """Close what is open; called once, when all partitions have stopped."""
        ...


class FolderStore:
    """States as files FOLDER/PREFIX/NAME/PARTITION.wvs; on another machine a partition starts from its sources."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder / prefix

    def __str__(self) -> str:
        return str(self._folder)

    def _path(self, name: str, partition: int) -> Path:
        return self._folder / name / f"{partition}.wvs"

    async def load(self, name: str, partition: int) -> bytes | None:
        """Return the state in the file, None without one; raises StateError where the file is damaged."""
        path = self._path(name, partition)
        return _checked(path.read_bytes(), str(path)) if path.is_file() else None

    async def save(self, name: str, partition: int, state: Sequence[bytes]) -> None:
        """Write the state in one step, and to disk: a crash leaves either the old state or the new one."""
        path = self._path(name, partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(lambda: replace_file(path, _sealed(state)))

    async def close(self) -> None:
        """Do nothing, since no file is kept open."""


class TopicStore:
    """States as records of the compacted topic PREFIX.snapshots, key NAME; any machine goes on from them.

    A state that no record can hold is written in parts, keys NAME/ID/0 and so on with an ID of its own, and then a
    record NAME that names them: a crash leaves the old state or the new one. What was named before is removed then.
    strike: a failpoint, called with "part" behind each part.
    """

    def __init__(self, settings: KafkaSettings, strike: Callable[[str], None] = lambda point: None) -> None:
        self._settings = settings
        self._strike = strike
        self._topic = settings.topic(SNAPSHOTS)
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._old: dict[tuple[str, int], list[str]] = {}  # keys of parts that the next state replaces

    def __str__(self) -> str:
        return self._topic

    async def load(self, name: str, partition: int) -> bytes | None:
        """Return the newest state on the topic, None without one; raises StateError where it is damaged."""
        place = TopicPartition(self._topic, partition)
        newest: bytes | None = None
        parts: dict[str, tuple[bytes, int]] = {}  # by key: the part, and when the broker got it, UNIX ms
        async for key, value, time_ms in self._records(place):
            if key == name:
                newest = value
            elif key.startswith(f"{name}/"):
                parts.pop(key, None)
                if value is not None:
                    parts[key] = value, time_ms
        where = f"{self._topic}, partition {partition}, key {name}"
        named = _parts_named(newest, name, where)
        before = time.time() * 1e3 - _ABANDONED_MS  # younger ones may be of a worker that is at it
        self._old[name, partition] = [k for k, (_, at) in parts.items() if k in named or at < before]
        if not named:
            return None if newest is None else _checked(_inflated(newest, where), where)
        if not parts.keys() >= set(named):
            raise _damaged(where)
        return _checked(_inflated(b"".join(parts[key][0] for key in named), where), where)

    async def _records(self, place: TopicPartition) -> AsyncIterator[tuple[str, bytes | None, int]]:
        """Key, value and time of every record that the topic holds now."""
        reader = AIOKafkaConsumer(
            **self._settings.client(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=2 * MOST_BYTES,
        )
        await connect(reader)
        try:
            reader.assign([place])
            end = (await reader.end_offsets([place]))[place]
            at = (await reader.beginning_offsets([place]))[place]
            while at < end:
                for record in (await reader.getmany(place, timeout_ms=1000)).get(place, ()):
                    yield (record.key or b"").decode(errors="replace"), record.value, record.timestamp
                at = await reader.position(place)
        finally:
            await close(reader)

    async def save(self, name: str, partition: int, state: Sequence[bytes]) -> None:
        """Write the state and wait for the acknowledgement."""
        raw = await asyncio.to_thread(_deflated, _sealed(state))
        producer = await self._started()

        async def write(key: str, value: bytes | None) -> None:
            await producer.send_and_wait(self._topic, value, key=key.encode(), partition=partition)

        starts = range(0, len(raw), MOST_BYTES) if len(raw) > MOST_BYTES else ()
        identity, old = uuid.uuid4().hex, self._old.get((name, partition), [])
        keys = [f"{name}/{identity}/{k}" for k in range(len(starts))]
        self._old[name, partition] = [*old, *keys]
        for key, start in zip(keys, starts, strict=True):
            await write(key, raw[start : start + MOST_BYTES])
            self._strike("part")
        await write(name, _NAMES_PARTS + f"{identity}/{len(keys)}".encode() if keys else raw)
        self._old[name, partition] = keys
        for key in old:
            await write(key, None)

    async def _started(self) -> AIOKafkaProducer:
        """The producer that all partitions share, started by the first of them."""
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._settings.client(),
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=MOST_BYTES + 4096,
                )
                try:
                    await connect(producer)
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def close(self) -> None:
        """Close the connection; a later save opens a new one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


def _sealed(state: Sequence[bytes]) -> list[bytes]:
    """The parts of a state behind the CRC-32 of all of them."""
    crc = 0
    for part in state:
        crc = zlib.crc32(part, crc)
    return [crc.to_bytes(_HEAD, "little"), *state]


def _deflated(parts: Sequence[bytes]) -> bytes:
    squeeze = zlib.compressobj(1)
    return b"".join([*(squeeze.compress(part) for part in parts), squeeze.flush()])


def _inflated(raw: bytes, where: str) -> bytes:
    try:
        return zlib.decompress(raw)
    except zlib.error as error:
        raise _damaged(where) from error


def _parts_named(raw: bytes | None, name: str, where: str) -> list[str]:
    """Keys of the parts that a record names, none where the record is a state itself."""
    if raw is None or not raw.startswith(_NAMES_PARTS):
        return []
    identity, _, number = raw.removeprefix(_NAMES_PARTS).decode(errors="replace").partition("/")
    if not number.isdecimal():
        raise _damaged(where)
    return [f"{name}/{identity}/{k}" for k in range(int(number))]


def _checked(raw: bytes, where: str) -> bytes:
    """The state that was sealed; raises StateError where it is damaged."""
    state = raw[_HEAD:]
    if not state or zlib.crc32(state).to_bytes(_HEAD, "little") != raw[:_HEAD]:
        raise _damaged(where)
    return state


def _damaged(where: str) -> StateError:
    return StateError(f"the state in {where} is damaged: remove it, and the stage starts from its sources")
