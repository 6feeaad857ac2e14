"""A feed on plain aiokafka: it opens a book, writes its rows to the ticks topic, and closes it.

    pip install aiokafka
    python feed_aiokafka.py --bootstrap 127.0.0.1:9092 --prefix windvane --book fed --rows 2000

The market is made up: row `seq` is a function of its number, one bar a minute. What to copy:

- The opening says what differs from the defaults, and the program completes the rest.
- The key of every record is the book, and its partition follows from the key.
- Rows are numbered from 0 without gaps. The ticks topic is the only memory: a feed that was killed reads the last
  record of its book there and goes on behind it. Of rows that come twice the first count.
- The producer is idempotent, and a record is acknowledged before the next one is sent, so none is lost, doubled or out
  of order.
"""

import argparse
import asyncio
import json
import math
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

MINUTE = 60_000_000_000
FIRST = 1_704_067_200_000_000_000  # 2024-01-01, UNIX ns
EACH = 20  # rows a record: of a live market one, as soon as it is known


def opening(book: str) -> dict:
    """Return the first record of a book: history, so its rounds wait for every agent; a live feed says "timed"."""
    config = {
        "agents": ["vol_trend", "buy_and_hold"],
        "closing": "lockstep",
        "interval": MINUTE,
        "limits": {"price_collar": 0.5, "max_drawdown": 0.25},
    }
    return {"type": "BookOpened", "book": book, "config": config}


def price(seq: int) -> float:
    """Return the price of a row, in cents that every language computes alike."""
    noise = seq * 2_654_435_761 % 2**32 / 2**32 - 0.5
    return math.floor(4_000_000 * math.exp(0.05 * math.sin(seq / 90) + 0.004 * noise) + 0.5) / 100


def ticks(book: str, start: int, stop: int) -> dict:
    """Return the rows start <= seq < stop as columns."""
    seqs = range(start, stop)
    return {
        "type": "Ticks",
        "book": book,
        "seq": [*seqs],
        "ts": [FIRST + MINUTE * seq for seq in seqs],
        "flags": [0 for _ in seqs],
        "price": [price(seq) for seq in seqs],
    }


def parsed(raw: bytes | None) -> dict:
    """Return a record's JSON object, an empty one where it is none: the workers write a dead letter of it."""
    try:
        message = json.loads(raw or b"")
    except ValueError:
        message = None
    return message if isinstance(message, dict) else {}


async def last_record(consumer: AIOKafkaConsumer, place: TopicPartition, book: str) -> dict | None:
    """Return the last record of a book, None where its partition has none; it is sought from the end backwards."""
    low = (await consumer.beginning_offsets([place]))[place]
    high = (await consumer.end_offsets([place]))[place]
    consumer.assign([place])
    back, found = 64, None
    while found is None and low < high:
        start = max(low, high - back)
        consumer.seek(place, start)
        while await consumer.position(place) < high:
            for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                message = parsed(record.value)
                if record.key == book.encode() and message.get("type") in (
                    "BookOpened",
                    "Ticks",
                    "BookClosed",
                ):
                    found = message
        if start == low:
            break
        back *= 8
    return found


async def run(bootstrap: str, prefix: str, book: str, rows: int, every: float) -> None:
    """Feed a book from where its topic ends, and close it; every: seconds to wait after each record."""
    topic = f"{prefix}.ticks"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="none"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    await consumer.start()
    await producer.start()
    try:
        partitions = sorted(await producer.partitions_for(topic))
        place = TopicPartition(topic, DefaultPartitioner()(book.encode(), partitions, partitions))
        last = await last_record(consumer, place, book)

        async def send(message: dict) -> None:
            raw = json.dumps(message, separators=(",", ":")).encode()
            await producer.send_and_wait(topic, raw, key=book.encode())

        if last is not None and last["type"] == "BookClosed":
            sys.stdout.write(f"{book} is closed\n")
            return
        if last is None:
            await send(opening(book))
        seq = last["seq"][-1] + 1 if last is not None and last["type"] == "Ticks" else 0
        sys.stdout.write(f"{book} goes on at row {seq}\n")
        while seq < rows:
            stop = min(seq + EACH, rows)
            await send(ticks(book, seq, stop))
            sys.stdout.write(f"rows {seq} to {stop - 1} are acknowledged\n")
            sys.stdout.flush()
            seq = stop
            await asyncio.sleep(every)
        await send({"type": "BookClosed", "book": book, "last": rows - 1})
        sys.stdout.write(f"{book} is closed\n")
    finally:
        await producer.stop()
        await consumer.stop()


def main() -> None:
    """Read the command line and feed the book."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--bootstrap", default="127.0.0.1:9092")
    options.add_argument("--prefix", default="windvane")
    options.add_argument("--book", default="fed")
    options.add_argument("--rows", type=int, default=2000)
    options.add_argument("--every", type=float, default=0.0, metavar="SECONDS")
    chosen = options.parse_args()
    asyncio.run(run(chosen.bootstrap, chosen.prefix, chosen.book, chosen.rows, chosen.every))


if __name__ == "__main__":
    main()
