"""Every place where states are kept does the same; a damaged state is never taken for one."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import numpy as np
import pytest
from aiokafka import TopicPartition
from running import PARTITIONS, put, records

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.layout import SNAPSHOTS
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.snapshots import FolderStore, SnapshotStore, TopicStore
from windvane.streams.stage import StateError

T = TypeVar("T")


class StoreContract:
    """Subclass it and say how a store is made; made again, it is the store of a worker that starts anew."""

    def make(self) -> SnapshotStore:
        raise NotImplementedError

    def named(self, name: str) -> str:
        """The name of a stage that this test alone has."""
        return name

    def damage(self, name: str, partition: int, how: Callable[[bytes], bytes]) -> None:
        """Change the stored bytes behind the store's back."""
        raise NotImplementedError

    def within(self, work: Callable[[SnapshotStore], Awaitable[T]]) -> T:
        async def run() -> T:
            store = self.make()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def load(self, name: str, partition: int) -> bytes | None:
        return self.within(lambda store: store.load(self.named(name), partition))

    def save(self, name: str, partition: int, *states: bytes) -> None:
        async def all_of_them(store: SnapshotStore) -> None:
            for state in states:
                await store.save(self.named(name), partition, [state[:5], state[5:]])

        self.within(all_of_them)

    def test_what_was_never_saved_is_none(self) -> None:
        assert self.load("features", 0) is None

    def test_the_last_is_what_the_next_worker_loads(self) -> None:
        self.save("features", 1, b"one", b"two", b"three")
        assert self.load("features", 1) == b"three"

    def test_stages_and_partitions_do_not_see_each_other(self) -> None:
        self.save("features", 0, b"f0")
        self.save("features", 3, b"f3")
        self.save("proposals.0a1b2c3d", 0, b"p0")
        assert self.load("features", 0) == b"f0"
        assert self.load("features", 3) == b"f3"
        assert self.load("proposals.0a1b2c3d", 0) == b"p0"
        assert self.load("proposals", 0) is None
        assert self.load("features", 1) is None

    def test_a_large_state_comes_back_to_the_last_bit(self) -> None:
        state = np.random.default_rng(1).bytes(3_000_000)
        self.save("ensemble", 2, state)
        assert self.load("ensemble", 2) == state

    def test_many_partitions_save_at_once_and_again_after_a_close(self) -> None:
        async def at_once(store: SnapshotStore) -> None:
            await asyncio.gather(*(store.save(self.named("feedback"), p, [b"first %d" % p]) for p in range(4)))
            await store.close()
            await asyncio.gather(*(store.save(self.named("feedback"), p, [b"state %d" % p]) for p in range(4)))

        self.within(at_once)
        assert [self.load("feedback", p) for p in range(4)] == [b"state %d" % p for p in range(4)]

    @pytest.mark.parametrize(
        "how",
        [
            lambda raw: raw[: len(raw) // 2],
            lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
            lambda raw: b"",
            lambda raw: bytes(4),
            lambda raw: bytes(len(raw)),
        ],
        ids=["cut", "a bit", "empty", "four zeros", "zeros"],
    )
    def test_a_damaged_state_is_refused_with_what_to_do(self, how: Callable[[bytes], bytes]) -> None:
        self.save("features", 0, b"a state of some length" * 50)
        self.damage("features", 0, how)
        with pytest.raises(
            StateError, match=r"is damaged: remove it, and the stage starts from its sources$"
        ):
            self.load("features", 0)


class TestFolder(StoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self._path = tmp_path

    def make(self) -> SnapshotStore:
        return FolderStore(self._path, "prefix")

    def damage(self, name: str, partition: int, how: Callable[[bytes], bytes]) -> None:
        path = self._path / "prefix" / name / f"{partition}.wvs"
        path.write_bytes(how(path.read_bytes()))

    def test_a_crash_between_write_and_rename_leaves_the_old_state(self) -> None:
        self.save("features", 0, b"old")
        (self._path / "prefix" / "features" / "0.wvs.tmp").write_bytes(b"half of the new")
        assert self.load("features", 0) == b"old"


@pytest.fixture(scope="module")
def shared(kafka: str) -> KafkaSettings:
    """One set of topics for all tests of the topic; each has names of its own."""
    settings = KafkaSettings(bootstrap=kafka, prefix=f"test-{uuid4().hex[:12]}")
    asyncio.run(layout.create(settings, partitions=PARTITIONS))
    return settings


class TestTopic(StoreContract):
    @pytest.fixture(autouse=True)
    def _broker(self, shared: KafkaSettings, request: pytest.FixtureRequest) -> None:
        self._settings = shared
        self._test = sha256(request.node.name.encode()).hexdigest()[:8]

    def named(self, name: str) -> str:
        return f"{self._test}.{name}"

    def make(self) -> SnapshotStore:
        return TopicStore(self._settings)

    def damage(self, name: str, partition: int, how: Callable[[bytes], bytes]) -> None:
        async def run() -> None:
            last = (await records(self._settings, SNAPSHOTS, partition))[-1]
            key = self.named(name).encode()
            await put(self._settings, SNAPSHOTS, [how(last)], "", partition=partition, key=key)

        asyncio.run(run())

    def test_a_state_that_a_person_removed_is_gone(self) -> None:
        self.save("features", 0, b"state")
        key = self.named("features").encode()
        asyncio.run(put(self._settings, SNAPSHOTS, [None], "", partition=0, key=key))
        assert self.load("features", 0) is None

    def part_keys(self, partition: int) -> set[bytes]:
        """Keys of the parts that the topic holds of this test's stages."""

        async def run() -> set[bytes]:
            found: dict[bytes, bytes | None] = {}
            place = TopicPartition(self._settings.topic(SNAPSHOTS), partition)
            async for key, value, _ in TopicStore(self._settings)._records(place):
                found[key.encode()] = value
            ours = self.named("").encode()
            return {key for key, value in found.items() if value and key.startswith(ours) and b"/" in key}

        return asyncio.run(run())

    def test_what_no_record_can_hold_is_written_in_parts_and_removed_when_it_is_replaced(self) -> None:
        first, second = (np.random.default_rng(k).bytes(17 * 1024 * 1024) for k in (2, 3))
        self.save("ensemble", 0, first)
        assert self.load("ensemble", 0) == first
        assert len(self.part_keys(0)) == 2
        self.save("ensemble", 0, second, first)
        assert self.load("ensemble", 0) == first
        assert len(self.part_keys(0)) == 4, "a store that has not loaded leaves what others wrote"
        self.within(lambda store: self.replaced(store, b"small"))
        assert self.load("ensemble", 0) == b"small"
        assert len(self.part_keys(0)) == 2

    async def replaced(self, store: SnapshotStore, state: bytes) -> None:
        await store.load(self.named("ensemble"), 0)
        await store.save(self.named("ensemble"), 0, [state])

    def test_a_crash_between_two_parts_leaves_the_old_state(self) -> None:
        self.save("ensemble", 3, b"old")
        key = self.named("ensemble") + "/0123456789abcdef/0"
        asyncio.run(put(self._settings, SNAPSHOTS, [b"half of the new"], "", partition=3, key=key.encode()))
        assert self.load("ensemble", 3) == b"old"

    def test_a_state_of_which_a_part_is_lost_is_damaged(self) -> None:
        key = self.named("ensemble").encode()
        for named in (b"parts 0123456789abcdef/2", b"parts ", b"parts x/-1"):
            asyncio.run(put(self._settings, SNAPSHOTS, [named], "", partition=1, key=key))
            with pytest.raises(StateError, match="is damaged: remove it"):
                self.load("ensemble", 1)
