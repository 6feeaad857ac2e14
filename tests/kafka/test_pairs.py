"""What a broker does with a fetch that waits for a pair: features wait there, and the proposals bring them."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.broker.clients import Fetching, let_gather, new_producer, new_reader
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.worker.pairing import _AROUND
from windvane.streams.topics import FEATURES, PROPOSALS

ROW, PAIR = b"f" * 900, b"p" * 250
LONG_MS = 60_000


async def _came(reader: AIOKafkaConsumer, ms: int) -> dict[str, int]:
    """By topic, how many records came within so many ms."""
    return {place.topic: len(records) for place, records in (await reader.getmany(timeout_ms=ms)).items()}


def test_features_alone_answer_no_fetch_and_come_with_their_proposals(topics: KafkaSettings) -> None:
    features, proposals = (TopicPartition(topics.topic(topic), 1) for topic in (FEATURES, PROPOSALS))

    async def pairs() -> None:
        reader, producer = new_reader(topics), new_producer(topics)
        await reader.start()
        await producer.start()
        try:
            let_gather(reader, Fetching(len(ROW) + _AROUND, LONG_MS))
            reader.assign([features, proposals])
            await reader.seek_to_beginning()
            for _ in range(3):
                await producer.send_and_wait(features.topic, ROW, key=b"book", partition=1)
                assert await _came(reader, 300) == {}
                await producer.send_and_wait(proposals.topic, PAIR, key=b"book", partition=1)
                assert await _came(reader, LONG_MS) == {features.topic: 1, proposals.topic: 1}
        finally:
            await reader.stop()
            await producer.stop()

    asyncio.run(asyncio.wait_for(pairs(), 50))
