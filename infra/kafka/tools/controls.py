"""A person's order on the control topic: the next number of the book, signed, and read back; a swap's model first."""

from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import RecordMetadata

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import close, new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.broker.signing import guard, key_of, sign
from windvane.infra.kafka.tools.standing import Standing, standing
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import Control, Event
from windvane.streams.models import swap_to
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, MODELS, Topic
from windvane.streams.worker import MOST_MODEL_BYTES

_TRIES = 5

_FARTHEST_NUMBER = 1 << 48
"""An unsigned record may not push numbers further than this: else whoever can write to the topic could use them up."""


class Sent(NamedTuple):
    """What is on the topic now."""

    control: Control
    offset: int
    passes: tuple[int, ...]  # earlier ones for later rows: those that are not applied yet never will be
    standing: Standing  # of the book before it
    since: Mapping[TopicPartition, int]  # where its decisions and dead letters after that begin


class _Seen:
    """The controls of a book on its topic."""

    def __init__(self, settings: KafkaSettings, book: str) -> None:
        self.known: dict[int, Control] = {}  # signed; the first of every number wins
        self.highest = 0  # number, also of what another key signed: workers may have applied it
        self._book = book
        self._believed = guard(settings)

    def add(self, raw: bytes | None) -> None:
        """Take in a record; workers make a dead letter of what is no control."""
        try:
            event = from_json(raw or b"")
        except WireError:
            return
        if not isinstance(event, Control) or event.book != self._book:
            return
        if self._believed(event):
            self.known.setdefault(event.number, event)
            self.highest = max(self.highest, event.number)
        elif event.number < _FARTHEST_NUMBER:
            self.highest = max(self.highest, event.number)


async def order(
    settings: KafkaSettings, book: str, action: str, effective_from: int, reason: str, weights: bytes = b""
) -> Sent:
    """Send a control and make sure that it is the first of its number, which is above all that were sent or applied.

    weights: of a swap, the safetensors; they are on their topic, acknowledged, before the control is sent. Two people
    may send at once: whose number is taken tries the next. Raises SettingsError, LayoutError, or UnknownBookError.
    """
    key = key_of(settings)
    partitions = await layout.check(settings)
    place = TopicPartition(settings.topic(CONTROL), partition_of(book, partitions))
    told = [TopicPartition(settings.topic(topic), place.partition) for topic in (DECISIONS, DEAD_LETTERS)]
    reader = AIOKafkaConsumer(
        **settings.client(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = new_producer(settings, most_bytes=MOST_MODEL_BYTES)
    await reader.start()
    try:
        await producer.start()
        try:

            async def write(topic: Topic, event: Event) -> RecordMetadata:
                return await producer.send_and_wait(
                    settings.topic(topic), to_json(event), key=book.encode(), partition=place.partition
                )

            before = await standing(settings, partitions, reader, book)
            since = await reader.end_offsets(told)
            reader.assign([place])
            await reader.seek_to_beginning(place)
            seen = _Seen(settings, book)
            await _read(reader, place, seen)
            for _ in range(_TRIES):
                number = 1 + max(seen.highest, before.control)
                said = Control(
                    book=book, number=number, action=action, effective_from=effective_from, reason=reason
                )
                if weights:
                    model, said = swap_to(
                        weights, book=book, number=number, effective_from=effective_from, reason=reason
                    )
                    await write(MODELS, sign(model, key, settings.prefix))
                signed = sign(said, key, settings.prefix)
                record = await write(CONTROL, signed)
                await _read(reader, place, seen)
                if seen.known.get(number) == signed:
                    passes = _passed(seen.known, signed, before)
                    return Sent(signed, record.offset, passes, before, since)
        finally:
            await producer.stop()
    finally:
        await close(reader)
    raise SettingsError(
        f"others send controls to {book} at the same time: look at them, and send yours again"
    )


async def _read(reader: AIOKafkaConsumer, place: TopicPartition, seen: _Seen) -> None:
    """Take in the controls up to the end of their topic."""
    end = (await reader.end_offsets([place]))[place]
    while await reader.position(place) < end:
        for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
            seen.add(record.value)


def _passed(known: Mapping[int, Control], control: Control, before: Standing) -> tuple[int, ...]:
    """Numbers of earlier ones, not applied yet, that are for later rows than this one."""
    row = max(control.effective_from, before.rows)
    return tuple(
        sorted(n for n, c in known.items() if before.control < n < control.number and c.effective_from > row)
    )
