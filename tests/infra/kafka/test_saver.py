"""The Saver of a partition: one state after the other, the newest last, and the loop never waits for one."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.worker.plan import plan_of
from windvane.infra.kafka.worker.saver import Saver
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.troubles import Trouble


class Books:
    """A state of a few books, to be copied one after the other."""

    def __init__(self, raw: bytes, books: int = 1) -> None:
        self.raw = raw
        self.left = books

    def copy_some(self, most: int) -> bool:
        self.left -= 1
        return self.left <= 0

    def parts(self) -> list[bytes]:
        assert self.left <= 0
        return [self.raw[:2], self.raw[2:]]


class SlowStore:
    """A store that is done with a state when the test says so."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []
        self.begun = 0
        self.gate = asyncio.Semaphore(0)

    async def load(self, name: str, partition: int) -> bytes | None:
        return self.stored[-1] if self.stored else None

    async def save(self, name: str, partition: int, state: Sequence[bytes]) -> None:
        assert (name, partition) == ("features", 2)
        self.begun += 1
        await self.gate.acquire()
        if b"".join(state) == b"refused":
            raise OSError("the disk is full")
        if b"".join(state) == b"no answer":
            raise KafkaError
        self.stored.append(b"".join(state))

    async def close(self) -> None:
        return


class FullStore(SlowStore):
    """A store on a disk that is full, until the test says that it is not."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.full, self._folder = True, folder

    def __str__(self) -> str:
        return str(self._folder)

    async def save(self, name: str, partition: int, state: Sequence[bytes]) -> None:
        if self.full:
            Path("/dev/full").write_bytes(b"".join(state))
        self.stored.append(b"".join(state))


def unstored(metrics: WorkerMetrics) -> float:
    value = metrics.registry.get_sample_value(
        "windvane_unstored_seconds", {"stage": "features", "partition": "2"}
    )
    assert value is not None
    return value


def saver_on(store: SlowStore) -> Saver:
    plan = plan_of("features", KafkaSettings(), 4, None)._replace(store=store)
    return Saver(plan, 2, WorkerMetrics("features"))


async def turns(number: int = 3) -> None:
    """Let other tasks run, and threads that take no time."""
    for _ in range(number):
        await asyncio.sleep(0.01)


async def begun(saver: Saver, raw: bytes) -> None:
    """Return once the saver has begun to store a state, or raise what it raises."""
    while not await saver.save(lambda: Books(raw), last=False):
        await turns()


class TestSaver:
    def test_a_state_that_is_being_stored_puts_the_next_off_and_its_bytes_are_not_made(self) -> None:
        async def scenario() -> None:
            store = SlowStore()
            saver = saver_on(store)
            assert await saver.save(lambda: Books(b"first"), last=False)
            await turns()
            assert not await saver.save(lambda: pytest.fail("a state was made for nothing"), last=False)
            assert (store.begun, store.stored) == (1, [])
            store.gate.release()
            await turns()
            assert await saver.save(lambda: Books(b"third"), last=False)
            store.gate.release()
            await saver.settle()
            assert store.stored == [b"first", b"third"]

        asyncio.run(scenario())

    def test_the_last_state_waits_for_the_one_before_and_is_stored_on_return(self) -> None:
        async def scenario() -> None:
            store = SlowStore()
            saver = saver_on(store)
            await saver.save(lambda: Books(b"first"), last=False)
            last = asyncio.create_task(saver.save(lambda: Books(b"last"), last=True))
            await turns()
            assert not last.done()
            store.gate.release()
            await turns()
            assert store.stored == [b"first"]
            assert not last.done()
            store.gate.release()
            assert await last
            assert store.stored == [b"first", b"last"]

        asyncio.run(scenario())

    def test_a_state_that_the_disk_refused_is_a_trouble_until_one_is_stored(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            store, metrics = FullStore(tmp_path), WorkerMetrics("features")
            plan = plan_of("features", KafkaSettings(), 4, None)._replace(store=store)
            saver = Saver(plan, 2, metrics)
            assert await saver.save(lambda: Books(b"first"), last=True)
            assert saver.trouble == Trouble(
                "not_stored",
                f"states cannot be stored: No space left on device in {tmp_path}: "
                "free space, or move them with --state",
            )
            await asyncio.sleep(0.01)
            assert await saver.save(lambda: Books(b"second"), last=True)
            assert 0.01 < unstored(metrics) < 10
            store.full = False
            assert await saver.save(lambda: Books(b"third"), last=True)
            assert (saver.trouble, unstored(metrics), store.stored) == (None, 0.0, [b"third"])

        asyncio.run(scenario())

    def test_what_a_broker_answered_is_an_error_of_the_next_save(self) -> None:
        async def scenario() -> None:
            store = SlowStore()
            saver = saver_on(store)
            store.gate.release()
            assert await saver.save(lambda: Books(b"no answer"), last=False)
            with pytest.raises(KafkaError):
                await begun(saver, b"next")

        asyncio.run(scenario())

    def test_settling_waits_and_raises_nothing_so_that_a_partition_can_start_again(self) -> None:
        async def scenario() -> None:
            store = SlowStore()
            saver = saver_on(store)
            await saver.settle()
            await saver.save(lambda: Books(b"refused"), last=False)
            settling = asyncio.create_task(saver.settle())
            await turns()
            assert not settling.done()
            store.gate.release()
            await settling
            store.gate.release()
            assert await saver.save(lambda: Books(b"after"), last=True)
            assert store.stored == [b"after"]

        asyncio.run(scenario())

    def test_while_books_are_copied_the_partition_steps_on(self) -> None:
        async def scenario() -> None:
            store = SlowStore()
            saver = saver_on(store)
            store.gate.release()
            books = Books(b"many", books=50)
            assert await saver.save(lambda: books, last=False)
            left = set()
            while not store.stored:
                left.add(books.left)
                await asyncio.sleep(0)
            assert len(left) > 40

        asyncio.run(scenario())

    def test_states_of_many_books_lie_further_apart(self) -> None:
        async def scenario() -> None:
            store = SlowStore()
            saver = saver_on(store)
            assert saver.pause == 5.0
            for size, pause in ((10_000, 5.0), (5_000_000, 10.0), (80_000_000, 30.0), (10_000, 5.0)):
                store.gate.release()
                await saver.save(lambda size=size: Books(bytes(size)), last=True)
                assert saver.pause == pause

        asyncio.run(scenario())
