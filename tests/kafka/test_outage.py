"""A broker that goes away while all stages run: they go on by themselves once it is back."""

import asyncio
import time
from pathlib import Path

import pytest
from broker import Broker
from plain_books import BOOKS, ROWS, decided, orders_are_right, send
from running import PARTITIONS, inside

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings


def _outage(home: Path, folder: Path, seconds: float) -> None:
    """Workers inside this process; their broker is killed in the middle, and comes back after `seconds`."""
    broker = Broker(home, folder / "broker")
    broker.start()
    settings = KafkaSettings(bootstrap=broker.bootstrap, prefix="test", control_key="not a secret, sixteen")
    book = BOOKS[:1]

    async def run() -> None:
        await layout.create(settings, partitions=PARTITIONS)
        async with inside(settings, folder / "states") as stages:
            await send(settings, book, 0, 300)
            await stages.until("first rows", lambda: decided(settings, book, 200), every=0.3)
            broker.kill()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                assert not any(task.done() for task in stages.tasks)
                await asyncio.sleep(0.2)
            await asyncio.to_thread(broker.start)
            back = time.monotonic()
            await send(settings, book, 300, ROWS)
            await stages.until("last rows", lambda: decided(settings, book, ROWS), 90, every=0.5)
            took = time.monotonic() - back
            assert took < 40, took
        await orders_are_right(settings, book)

    try:
        asyncio.run(run())
    finally:
        broker.stop()


def test_a_broker_that_is_gone_for_a_while_loses_nothing(kafka_home: Path, tmp_path: Path) -> None:
    _outage(kafka_home, tmp_path, 12)


@pytest.mark.slow
def test_a_broker_that_is_gone_for_a_minute_loses_nothing(kafka_home: Path, tmp_path: Path) -> None:
    _outage(kafka_home, tmp_path, 60)
