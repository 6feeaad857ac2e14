"""Records as batches: aiokafka's own batches, from a producer that is never started, hold every record in order."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record import MemoryRecords

from windvane.infra.kafka.broker.batches import batches, by_topic
from windvane.streams.topics import DECISIONS, ORDERS
from windvane.streams.worker import Record


def cut(records: Sequence[Record], most_bytes: int) -> tuple[list[int], list[tuple[bytes, bytes]]]:
    """How many records are in each batch, and the keys and values of all that the broker would read."""

    async def read() -> tuple[list[int], list[tuple[bytes, bytes]]]:
        producer = AIOKafkaProducer(max_batch_size=most_bytes)
        counts: list[int] = []
        content: list[tuple[bytes, bytes]] = []
        for batch, count in batches(producer, records):
            counts.append(count)
            assert batch.record_count() == count
            batch.close()
            wire = MemoryRecords(bytes(batch._build()))
            while (part := wire.next_batch()) is not None:
                content += [(record.key, record.value) for record in part]
        await producer.stop()
        return counts, content

    return asyncio.run(read())


class TestBatches:
    @pytest.mark.parametrize("number", [1, 7, 100])
    def test_records_are_cut_into_full_batches_and_none_is_lost_or_moved(self, number: int) -> None:
        records = [Record(DECISIONS, f"book{k % 3}", b"%d" % k * 40) for k in range(number)]
        counts, content = cut(records, 1_000)
        assert content == [(r.book.encode(), r.raw) for r in records]
        assert sum(counts) == number
        assert min(counts) > 0
        assert (len(counts) > 1) == (number > 7)

    def test_a_record_larger_than_a_batch_has_one_of_its_own(self) -> None:
        raws = [b"small", b"x" * 2_000, b"small again"]
        counts, content = cut([Record(DECISIONS, "book", raw) for raw in raws], 1_000)
        assert counts == [1, 1, 1]
        assert [raw for _, raw in content] == raws


class TestByTopic:
    def test_records_keep_their_order_on_each_topic(self) -> None:
        records = [Record(t, "book", b"%d" % k) for k, t in enumerate([ORDERS, DECISIONS, ORDERS, ORDERS])]
        grouped = by_topic(records)
        assert list(grouped) == [ORDERS, DECISIONS]
        assert [r.raw for r in grouped[ORDERS]] == [b"0", b"2", b"3"]
