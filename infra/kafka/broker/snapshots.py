"""Where stages keep their states: a folder on this machine, or the topic `snapshots` where machines share no folder."""

import asyncio
import zlib
from pathlib import Path
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from windvane.infra.kafka.broker.clients import close
from windvane.infra.kafka.broker.layout import SNAPSHOTS
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.runs.files import replace_file
from windvane.streams.stage import StateError

_HEAD = 4  # CRC-32
_MOST = 16 * 1024 * 1024


class SnapshotStore(Protocol):
    """Keeps the newest state of every stage and partition; several partitions use one store at the same time."""

    async def load(self, name: str, partition: int) -> bytes | None:
        """The state that was saved last, None where none was.

        Called once in every recovery of a partition, which waits for it. Raises StateError where it is damaged.
        """
        ...

    async def save(self, name: str, partition: int, state: bytes) -> None:
        """Keep a state; when this returns it survives a crash.

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

    async def save(self, name: str, partition: int, state: bytes) -> None:
        """Write the state in one step, and to disk: a crash leaves either the old state or the new one."""
        path = self._path(name, partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(replace_file, path, _sealed(state))

    async def close(self) -> None:
        """Do nothing, since no file is kept open."""


class TopicStore:
    """States as records of the compacted topic PREFIX.snapshots, key NAME; any machine goes on from them."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = settings.topic(SNAPSHOTS)
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    def __str__(self) -> str:
        return self._topic

    async def load(self, name: str, partition: int) -> bytes | None:
        """Return the newest state on the topic, None without one; raises StateError where it is damaged."""
        place = TopicPartition(self._topic, partition)
        reader = AIOKafkaConsumer(
            **self._settings.client(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            max_partition_fetch_bytes=2 * _MOST,
        )
        await reader.start()
        try:
            reader.assign([place])
            end = (await reader.end_offsets([place]))[place]
            at = (await reader.beginning_offsets([place]))[place]
            newest: bytes | None = None
            while at < end:
                for record in (await reader.getmany(place, timeout_ms=1000)).get(place, ()):
                    newest = record.value if record.key == name.encode() else newest
                at = await reader.position(place)
        finally:
            await close(reader)
        where = f"{self._topic}, partition {partition}, key {name}"
        return None if newest is None else _checked(_inflated(newest, where), where)

    async def save(self, name: str, partition: int, state: bytes) -> None:
        """Write the state and wait for the acknowledgement; raises StateError where it is too large for a record."""
        raw = await asyncio.to_thread(zlib.compress, _sealed(state), 1)
        if len(raw) > _MOST:
            raise StateError(
                f"the state of {name} has {len(raw)} bytes, a record at most {_MOST}: keep states in a folder"
            )
        producer = await self._started()
        await producer.send_and_wait(self._topic, raw, key=name.encode(), partition=partition)

    async def _started(self) -> AIOKafkaProducer:
        """The producer that all partitions share, started by the first of them."""
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._settings.client(),
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=_MOST + 4096,
                )
                try:
                    await producer.start()
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


def _sealed(state: bytes) -> bytes:
    """A state behind its CRC-32."""
    return zlib.crc32(state).to_bytes(_HEAD, "little") + state


def _inflated(raw: bytes, where: str) -> bytes:
    try:
        return zlib.decompress(raw)
    except zlib.error as error:
        raise _damaged(where) from error


def _checked(raw: bytes, where: str) -> bytes:
    """The state that was sealed; raises StateError where it is damaged."""
    state = raw[_HEAD:]
    if not state or zlib.crc32(state).to_bytes(_HEAD, "little") != raw[:_HEAD]:
        raise _damaged(where)
    return state


def _damaged(where: str) -> StateError:
    return StateError(f"the state in {where} is damaged: remove it, and the stage starts from its sources")
