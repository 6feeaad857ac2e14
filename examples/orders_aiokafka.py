"""A toy venue on plain aiokafka: it reads orders, fills each once, and writes the fills to the fills topic.

    pip install aiokafka
    python orders_aiokafka.py --bootstrap 127.0.0.1:9092 --prefix windvane

It shows how a venue is connected. No book reads its fills yet: all are filled on paper, and `fills` "venue" is refused.
To see it work on a replay of history, give --history. What to copy:

- Orders and fills are written in transactions, so both are read with isolation_level read_committed.
- A fill's id is made of its order's id, so two fills of one order would be equal, byte for byte.
- The fills topic is the only memory. Each fill names in a header the offset of its order, so after a restart the
  program reads its own fills and goes on with the orders behind them.
- The transactional id fences an older copy of this program: once this one has started its producer, the older one
  cannot write any more. This one reads its fills after that, so no fill can be missing among them.
"""

import argparse
import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

COST = 1e-4  # what the toy venue takes beyond the order's reference price, and the same again as its fee
OWN = ".venue"  # the ending of the ids of its fills
OFFSET = "order-offset"


def fill_of(order: dict) -> dict:
    """Return the venue's fill of an order, which is a function of the order alone."""
    price = order["price"] * (1 + COST if order["side"] == "buy" else 1 - COST)
    return {
        "id": f"{order['id']}{OWN}",
        "book": order["book"],
        "order_id": order["id"],
        "seq": order["seq"],
        "ts": order["ts"],
        "time": order["time"],
        "symbol": order["symbol"],
        "side": order["side"],
        "qty": order["qty"],
        "price": price,
        "fee": order["qty"] * price * COST,
    }


def parsed(record: ConsumerRecord) -> dict | None:
    """Return a record's JSON object; None where it is none, since one bad record must not stop the rest."""
    try:
        message = json.loads(record.value or b"")
    except ValueError:
        message = None
    if not isinstance(message, dict) or "id" not in message:
        sys.stderr.write(
            f"{record.topic}, partition {record.partition}, offset {record.offset} is passed over\n"
        )
        return None
    return message


async def own_fills(
    consumer: AIOKafkaConsumer, fills: list[TopicPartition]
) -> tuple[set[str], dict[int, int]]:
    """Read the fills topic to its present end.

    Returns the ids of the orders that this venue has filled, and for each partition the offset behind the last of them.
    """
    filled: set[str] = set()
    following: dict[int, int] = {}
    consumer.assign(fills)
    await consumer.seek_to_beginning(*fills)
    ends = await consumer.end_offsets(fills)
    while any([await consumer.position(place) < ends[place] for place in fills]):
        for place, records in (await consumer.getmany(timeout_ms=200)).items():
            for record in records:
                fill = parsed(record)
                if fill is not None and fill["id"].endswith(OWN):
                    filled.add(fill["order_id"])
                    after = int(dict(record.headers)[OFFSET]) + 1
                    following[place.partition] = max(after, following.get(place.partition, 0))
    return filled, following


def to_fill(records: list[ConsumerRecord], filled: set[str], history: bool) -> list[tuple[int, dict]]:
    """Return offset and order of the orders that are to be filled, and add their ids to `filled`.

    Orders filled before are left out, and those whose `valid_until` has passed, too, unless `history` is true.
    """
    due: list[tuple[int, dict]] = []
    for record in records:
        order = parsed(record)
        if order is None or order["id"] in filled:
            continue
        filled.add(order["id"])
        if not history and time.time_ns() > order["valid_until"]:
            sys.stderr.write(f"{order['id']} has expired: not filled\n")
            continue
        due.append((record.offset, order))
    return due


async def run(bootstrap: str, prefix: str, history: bool, until_idle: float) -> None:
    """Fill orders until none has come for `until_idle` seconds.

    bootstrap: HOST:PORT of a broker; prefix: of the topics' names; history: whether to fill expired orders, too.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, transactional_id=f"{prefix}.toy-venue", acks="all"
    )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    await producer.start()  # from here on no older copy of this program can write
    try:
        orders = sorted(
            TopicPartition(f"{prefix}.orders", p) for p in await producer.partitions_for(f"{prefix}.orders")
        )
        filled, following = await own_fills(
            consumer, [TopicPartition(f"{prefix}.fills", p.partition) for p in orders]
        )
        sys.stderr.write(f"{len(filled)} orders are filled already\n")
        consumer.assign(orders)
        await consumer.seek_to_beginning(*orders)
        for place in orders:
            if place.partition in following:
                consumer.seek(place, following[place.partition])
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < until_idle:
            for place, records in (await consumer.getmany(timeout_ms=200, max_records=200)).items():
                quiet_since = time.monotonic()
                due = to_fill(records, filled, history)
                if not due:
                    continue
                async with producer.transaction():
                    for offset, order in due:
                        await producer.send(
                            f"{prefix}.fills",
                            json.dumps(fill_of(order), separators=(",", ":")).encode(),
                            key=order["book"].encode(),
                            partition=place.partition,
                            headers=[(OFFSET, str(offset).encode())],
                        )
                for _, order in due:
                    sys.stdout.write(f"{order['id']} {order['side']} {order['qty']} {order['symbol']}\n")
                sys.stdout.flush()
    finally:
        await producer.stop()
        await consumer.stop()


def main() -> None:
    """Read the command line and run the venue."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--bootstrap", default="127.0.0.1:9092")
    options.add_argument("--prefix", default="windvane")
    options.add_argument("--history", action="store_true", help="fill orders that have expired, too")
    options.add_argument("--until-idle", type=float, default=float("inf"), metavar="SECONDS")
    chosen = options.parse_args()
    asyncio.run(run(chosen.bootstrap, chosen.prefix, chosen.history, chosen.until_idle))


if __name__ == "__main__":
    main()
