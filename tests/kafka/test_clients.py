"""Clients of the broker leave no socket behind, wherever they are cancelled."""

import asyncio
import gc
import warnings
from collections.abc import Awaitable, Callable

import pytest

from windvane.infra.kafka.broker.clients import close, connect, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings


async def read(settings: KafkaSettings) -> None:
    async with reading(settings):
        await asyncio.sleep(60)


async def write(settings: KafkaSettings) -> None:
    producer = new_producer(settings)
    try:
        await connect(producer)
        await asyncio.sleep(60)
    finally:
        await close(producer)


@pytest.mark.parametrize("use", [read, write])
def test_a_client_that_is_cancelled_while_it_starts_leaves_no_socket(
    settings: KafkaSettings, use: Callable[[KafkaSettings], Awaitable[None]]
) -> None:
    async def cancelled_after(turns: int) -> None:
        task = asyncio.ensure_future(use(settings))
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        for turns in range(60):
            asyncio.run(cancelled_after(turns))
        gc.collect()
    assert [str(w.message) for w in caught] == []
