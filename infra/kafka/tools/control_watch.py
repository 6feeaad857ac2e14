"""ControlWatch: whether somebody has sent a control to a book, so that its feed makes a row for it at once."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.signing import guard
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import Control
from windvane.streams.topics import CONTROL

_READ_MS = 1_000
_PAUSE_SECONDS = 1.0


class ControlWatch:
    """Reads the control topic from its end on. With a key, only controls count that it has signed."""

    def __init__(self, settings: KafkaSettings, book: str, partition: int) -> None:
        self._settings = settings
        self._book = book
        self._place = TopicPartition(settings.topic(CONTROL), partition)
        self._believed = guard(settings) if settings.control_key else lambda _: True
        self._came = False
        self._next: int | None = None  # offset

    def came(self) -> bool:
        """Whether a control has come since the last call."""
        came, self._came = self._came, False
        return came

    async def run(self) -> None:
        """Read until cancelled; a broker that is away is waited for."""
        while True:
            try:
                await self._read()
            except (KafkaError, IllegalOperation, OSError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self) -> None:
        async with reading(self._settings) as reader:
            first, ends = await ends_of(reader, [self._place])
            reader.assign([self._place])
            start = ends[self._place] if self._next is None else max(self._next, first[self._place])
            reader.seek(self._place, start)
            while True:
                self._next = await reader.position(self._place)
                found = await reader.getmany(self._place, timeout_ms=_READ_MS)
                for record in found.get(self._place, ()):
                    self._came = self._came or self._counts(record.value or b"")

    def _counts(self, raw: bytes) -> bool:
        try:
            event = from_json(raw)
        except WireError:
            return False
        return isinstance(event, Control) and event.book == self._book and self._believed(event)
