"""An agent that only writes to the proposals topic: the rule donchian_breakout, over plain aiokafka.

    pip install aiokafka
    python agent_aiokafka.py --bootstrap 127.0.0.1:9092 --prefix windvane --book main --agent breakout

Nothing of Windvane is imported. A book that names `breakout=remote` among its agents waits for these answers, and the
orders are to the last byte those of the rule that is built in. What to copy:

- Features come row by row. A row whose flags have 1, 2 or 4 says nothing new: the last target stands, confidence 0.
- While flag 8 is set, features warm up: the rule sees the row and wants nothing. Flag 64 joins two levels of price.
- One answer for every row, in the order of `seq`; the key of every record is the book, and its partition follows.
- The features topic is the only memory: an agent that was killed reads it again and answers again, and of answers that
  come twice the first counts.
- With a key (AGENT_KEY in the environment) each record is signed: HMAC-SHA256 of its bytes, in hex, in a header.
"""

import argparse
import asyncio
import hmac
import json
import os
import sys
from collections import deque
from hashlib import sha256

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

NOTHING_NEW, WARMING_UP, OTHER_LEVEL = 1 | 2 | 4, 8, 64
ENTRY, EXIT = 96, 48


class Breakout:
    """Go with a price above the highest of the last 96, until it is below the lowest of the last 48, and back."""

    def __init__(self) -> None:
        self.prices: deque[float] = deque(maxlen=ENTRY)
        self.seen = 0
        self.side = self.target = 0.0
        self.scale, self.last = 1.0, 0.0  # of prices that are joined where they go to another level

    def answer(self, flags: int, mid: float) -> tuple[float, int, float]:
        """Return target, action and confidence at a row."""
        new = not flags & NOTHING_NEW
        if new and flags & OTHER_LEVEL and self.last > 0.0:
            self.scale *= self.last / mid
        self.last = mid
        target, action, confidence = self._step(mid * self.scale) if new else (self.target, 0, 0.0)
        return (0.0, 0, 0.0) if flags & WARMING_UP else (target, action, confidence)

    def _step(self, price: float) -> tuple[float, int, float]:
        recent = list(self.prices)
        self.prices.append(price)
        self.seen += 1
        if self.seen <= ENTRY:
            return 0.0, 0, 0.0
        high, low, short = max(recent), min(recent), recent[-EXIT:]
        if price > high:
            self.side = 1.0
        elif price < low:
            self.side = -1.0
        elif (self.side > 0.0 and price < min(short)) or (self.side < 0.0 and price > max(short)):
            self.side = 0.0
        belief = 0.0
        if self.side != 0.0 and high > low:
            belief = self.side * (2.0 * (price - low) / (high - low) - 1.0)
        action = (self.side > self.target) - (self.side < self.target)
        self.target = self.side
        return self.target, action, min(max(belief, 0.0), 1.0)


def proposals(agent: str, rule: Breakout, rows: dict) -> dict:
    """Return the record that answers a record of features."""
    answers = [rule.answer(flags, mid) for flags, mid in zip(rows["flags"], rows["mid"], strict=True)]
    return {
        "type": "Proposals",
        "book": rows["book"],
        "seq": rows["seq"],
        "agents": [agent],
        "versions": ["1"],
        "target": [[target] for target, _, _ in answers],
        "action": [[action] for _, action, _ in answers],
        "confidence": [[confidence] for _, _, confidence in answers],
    }


def signed(raw: bytes) -> list[tuple[str, bytes]]:
    """Return the headers of a record: its signature, where there is a key."""
    key = os.environ.get("AGENT_KEY", "")
    return [("windvane-signature", hmac.new(key.encode(), raw, sha256).hexdigest().encode())] if key else []


async def run(bootstrap: str, prefix: str, book: str, agent: str) -> None:
    """Answer every row of a book, from the first that the topic keeps, until the book is closed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all")
    await consumer.start()
    await producer.start()
    rule, following = (
        Breakout(),
        0,
    )  # seq of the row to answer next; a stage that restarts may send rows twice
    try:
        partitions = sorted(await producer.partitions_for(f"{prefix}.features"))
        place = TopicPartition(
            f"{prefix}.features", DefaultPartitioner()(book.encode(), partitions, partitions)
        )
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        async for record in consumer:
            rows = json.loads(record.value)
            if rows["book"] != book:
                continue
            if rows["type"] == "BookClosed":
                break
            if rows["type"] != "Features" or rows["seq"][-1] < following:
                continue
            old = sum(seq < following for seq in rows["seq"])
            rows |= {name: rows[name][old:] for name in ("seq", "flags", "mid")}
            raw = json.dumps(proposals(agent, rule, rows), separators=(",", ":")).encode()
            await producer.send_and_wait(f"{prefix}.proposals", raw, key=book.encode(), headers=signed(raw))
            following = rows["seq"][-1] + 1
            sys.stdout.write(f"answered up to row {following - 1}\n")
            sys.stdout.flush()
    finally:
        await producer.stop()
        await consumer.stop()
    sys.stdout.write(f"{book} is closed after row {following - 1}\n")


def main() -> None:
    """Read the command line and answer."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--bootstrap", default="127.0.0.1:9092")
    options.add_argument("--prefix", default="windvane")
    options.add_argument("--book", default="main")
    options.add_argument("--agent", default="breakout")
    chosen = options.parse_args()
    asyncio.run(run(chosen.bootstrap, chosen.prefix, chosen.book, chosen.agent))


if __name__ == "__main__":
    main()
