"""Follows the topics of a pipeline from outside, and knows the last row of every book on each."""

import asyncio
import contextlib
import threading
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.books import last_seq
from windvane.streams.topics import DECISIONS, FEATURES, PROPOSALS, STATEMENTS, TICKS

_TOPICS = (TICKS, FEATURES, PROPOSALS, DECISIONS, STATEMENTS)


class Watch:
    """A thread that reads committed records of all topics; it goes on when the broker was down for a while."""

    def __init__(self, settings: KafkaSettings, partitions: int) -> None:
        self._settings = settings
        self._at = {TopicPartition(settings.topic(t), p): 0 for t in _TOPICS for p in range(partitions)}
        self._names = {settings.topic(t): t.name for t in _TOPICS}
        self._last: dict[str, dict[str, int]] = {t.name: {} for t in _TOPICS}
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def last(self, topic: str, book: str) -> int:
        """Return the number of the last row of a book on a topic, -1 before the first."""
        return self._last[topic].get(book, -1)

    def lasts(self, topic: str) -> Mapping[str, int]:
        """Return the number of the last row on a topic, by book."""
        return dict(self._last[topic])

    def closed(self, book: str) -> bool:
        """Whether the statement of the last row is written, which is the last output of a closed book."""
        return self.last("statements", book) >= self.last("ticks", book)

    def stop(self) -> None:
        """End the thread."""
        self._stopping = True
        self._thread.join(30)

    async def _run(self) -> None:
        while not self._stopping:
            with contextlib.suppress(KafkaError, OSError, TimeoutError):
                await self._follow()
            await asyncio.sleep(0.2)

    async def _follow(self) -> None:
        async with reading(self._settings) as reader:
            reader.assign(tuple(self._at))
            for place, offset in self._at.items():
                reader.seek(place, offset)
            while not self._stopping:
                for place, records in (await reader.getmany(timeout_ms=200)).items():
                    last = self._last[self._names[place.topic]]
                    for record in records:
                        book = (record.key or b"").decode()
                        last[book] = max(last.get(book, -1), last_seq(record.value or b""))
                        self._at[place] = record.offset + 1
