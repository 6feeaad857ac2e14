"""A person's order on the control topic: the next number of the book, signed, and read back; a swap's model first."""

from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import RecordMetadata

from windvane.infra.kafka import layout
from windvane.infra.kafka.clients import close, new_producer
from windvane.infra.kafka.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.signing import key_of, sign, verified
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import Control, Event
from windvane.streams.models import swap_to
from windvane.streams.topics import CONTROL, MODELS, Topic
from windvane.streams.worker import MOST_MODEL_BYTES

_TRIES = 5


class Sent(NamedTuple):
    """What is on the topic now."""

    control: Control
    offset: int
    passes: tuple[int, ...]  # earlier ones for later rows: those that are not applied yet never will be


async def order(
    settings: KafkaSettings, book: str, action: str, effective_from: int, reason: str, weights: bytes = b""
) -> Sent:
    """Send a control and make sure that it is the first of its number.

    weights: of a swap, the safetensors; they are on their topic, acknowledged, before the control is sent. Two people
    may send at once: whose number is taken tries the next. Raises SettingsError or LayoutError.
    """
    key = key_of(settings)
    place = TopicPartition(settings.topic(CONTROL), partition_of(book, await layout.check(settings)))
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

            reader.assign([place])
            known: dict[int, Control] = {}
            await _read(reader, place, settings, key, book, known)
            for _ in range(_TRIES):
                number = _free(known)
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
                await _read(reader, place, settings, key, book, known)
                if known.get(number) == signed:
                    return Sent(signed, record.offset, _passed(known, number, effective_from))
        finally:
            await producer.stop()
    finally:
        await close(reader)
    raise SettingsError(
        f"others send controls to {book} at the same time: look at them, and send yours again"
    )


async def _read(
    reader: AIOKafkaConsumer,
    place: TopicPartition,
    settings: KafkaSettings,
    key: bytes,
    book: str,
    known: dict[int, Control],
) -> None:
    """Add the signed controls of a book up to the end; the first of every number wins."""
    end = (await reader.end_offsets([place]))[place]
    while await reader.position(place) < end:
        for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
            control = _control(record.value)
            if control is not None and control.book == book and verified(control, key, settings.prefix):
                known.setdefault(control.number, control)


def _control(raw: bytes | None) -> Control | None:
    """What a record says; workers make a dead letter of what is no control."""
    try:
        event = from_json(raw or b"")
    except WireError:
        return None
    return event if isinstance(event, Control) else None


def _free(known: dict[int, Control]) -> int:
    """The first number that is not taken: a book applies 1, 2, 3 and waits where one is missing."""
    number = 1
    while number in known:
        number += 1
    return number


def _passed(known: dict[int, Control], number: int, effective_from: int) -> tuple[int, ...]:
    return tuple(
        sorted(c.number for c in known.values() if c.number < number and c.effective_from > effective_from)
    )
