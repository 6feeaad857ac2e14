"""Orders on a topic as the ensemble puts them there: in transactions, some of which are aborted."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec

from simulated_book import config, opening, plain_run, ticks
from windvane.infra.kafka.broker.clients import new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.streams.events import Orders
from windvane.streams.records import order_lines
from windvane.streams.topics import ORDERS, Topic

PARTITIONS = 4


@cache
def lines(book: str = "main", rows: int = 1200, seed: int = 1) -> tuple[bytes, ...]:
    """The orders of an embedded run, as the lines of its orders.jsonl."""
    settings = config()
    seen = plain_run([opening(settings, book), ticks(rows, seed, book)])
    return tuple(
        raw
        for _, event in seen
        if isinstance(event, Orders)
        for _, raw in order_lines(event, settings.symbol)
    )


def many(number: int, book: str = "many", **changes: Any) -> list[bytes]:
    """So many orders that differ in id, seq and time alone."""
    order = msgspec.json.decode(lines()[0])
    return [
        msgspec.json.encode(
            {
                **order,
                "id": f"{book}.{seq}.order",
                "book": book,
                "seq": seq,
                "ts": order["ts"] + seq,
                **changes,
            }
        )
        for seq in range(number)
    ]


async def write(
    settings: KafkaSettings,
    book: str,
    raws: Sequence[bytes],
    *,
    topic: Topic = ORDERS,
    each: int = 7,
    aborting: Sequence[bytes] = (),
) -> None:
    """Write records of a book in transactions of `each`; before every one, `aborting` in one that is aborted."""
    place = {"partition": partition_of(book, PARTITIONS), "key": book.encode()}
    producer = new_producer(settings, f"{settings.prefix}.ensemble.{place['partition']}")
    await producer.start()
    try:
        for group in [raws[i : i + each] for i in range(0, len(raws), each)]:
            if aborting:
                await producer.begin_transaction()
                for raw in aborting:
                    await producer.send(settings.topic(topic), raw, **place)
                await producer.flush()
                await producer.abort_transaction()
            async with producer.transaction():
                for raw in group:
                    await producer.send(settings.topic(topic), raw, **place)
    finally:
        await producer.stop()
