"""A person's control on its topic: checked, given the next number of its book, signed, written, and read back."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import RecordMetadata

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import close, connect, new_producer
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.broker.signing import guard, key_of, sign
from windvane.infra.kafka.broker.tails import read_tails, spans
from windvane.infra.kafka.tools.books import known_books
from windvane.metamodel.trading.control import CONTROLS, OF_SEATS
from windvane.streams.checks import MOST_MODEL_BYTES
from windvane.streams.codec import WireError, from_json, to_json
from windvane.streams.events import Control, Event
from windvane.streams.models import swap_to
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, MODELS, STATEMENTS, TICKS, Topic

_TRIES = 5

_FETCH_MS = 20
"""The broker answers one request of a connection after the other: a fetch that waits long would hold up a halt."""

_FARTHEST_NUMBER = 1 << 48
"""An unsigned record may not push numbers further than this: else whoever can write to the topic could use them up."""


class ControlError(SettingsError):
    """A control that is not sent: the message is one sentence that says why, and what to do."""


class UnknownBookError(ControlError):
    """No topic has a book of that name."""


class Reached(NamedTuple):
    """How far a book had come before a control; both are 0 where the newest decisions of its partition lack it."""

    rows: int = 0  # decided
    control: int = 0  # number of the last control applied


class Sent(NamedTuple):
    """A control that is on its topic, and what is needed to see what becomes of it."""

    control: Control
    offset: int
    passes: tuple[
        int, ...
    ]  # numbers of earlier controls for later rows: what of them is not applied never will be
    reached: Reached
    since: Mapping[TopicPartition, int]  # offsets where the decisions and dead letters after it begin


class DecidedControls(msgspec.Struct):
    """The columns of a record of decisions that tell which control was the last applied, row by row."""

    seq: list[int]
    controls: list[int]


def new_control(
    book: str, action: str, effective_from: int = 0, reason: str = "", agent: str = ""
) -> Control:
    """A control that has no number yet; raises ControlError for values that no worker would apply.

    effective_from: seq of the first row that it rules, 0: the next row that comes; agent: of wake and retire.
    """
    for sound, sentence in (
        (action in CONTROLS, f"the control is {action!r}: give one of {', '.join(CONTROLS)}"),
        (
            book not in ("", ".", "..") and "/" not in book,
            f"--book is {book!r}: give a name without slashes",
        ),
        (
            0 <= effective_from < 2**53,
            f"--from-seq is {effective_from}: give a row's number, or 0 for at once",
        ),
        (
            (action in OF_SEATS) == bool(agent),
            "give an agent with wake or retire, and with nothing else",
        ),
        (len(reason) <= 1000, f"--reason has {len(reason)} characters: give at most 1000"),
    ):
        if not sound:
            raise ControlError(sentence)
    return Control(
        book=book, number=0, action=action, effective_from=effective_from, reason=reason, agent=agent
    )


async def send_control(settings: KafkaSettings, control: Control, weights: bytes = b"") -> Sent:
    """Send a control of `new_control` under a number above all that were sent to its book or applied by it.

    weights: of a swap, the safetensors; they are acknowledged on their topic before the control is sent. Two people
    may send at once: the topic's order decides who has a number, and the other one takes the next. Raises
    SettingsError or LayoutError where the broker cannot be used, UnknownBookError, or ControlError.
    """
    key, book = key_of(settings), control.book
    partitions = await layout.check(settings)
    place = TopicPartition(settings.topic(CONTROL), partition_of(book, partitions))
    answers = [TopicPartition(settings.topic(topic), place.partition) for topic in (DECISIONS, DEAD_LETTERS)]
    reader = AIOKafkaConsumer(
        **settings.client(),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FETCH_MS,
    )
    producer = new_producer(settings, most_bytes=MOST_MODEL_BYTES)
    await connect(reader)
    try:
        await connect(producer)
        try:

            async def write(topic: Topic, event: Event) -> RecordMetadata:
                return await producer.send_and_wait(
                    settings.topic(topic), to_json(event), key=book.encode(), partition=place.partition
                )

            reached = await _reached(settings, partitions, reader, book)
            since = await reader.end_offsets(answers)
            reader.assign([place])
            await reader.seek_to_beginning(place)
            earlier = _Controls(settings, book)
            await _read_on(reader, place, earlier)
            for _ in range(_TRIES):
                number = 1 + max(earlier.highest, reached.control)
                numbered = msgspec.structs.replace(control, number=number)
                if weights:
                    model, numbered = swap_to(
                        weights,
                        book=book,
                        number=number,
                        effective_from=control.effective_from,
                        reason=control.reason,
                    )
                    await write(MODELS, sign(model, key, settings.prefix))
                signed = sign(numbered, key, settings.prefix)
                record = await write(CONTROL, signed)
                await _read_on(reader, place, earlier)
                if earlier.signed.get(number) == signed:
                    passes = tuple(sorted(_passed(earlier.signed.values(), signed, reached)))
                    return Sent(signed, record.offset, passes, reached, since)
        finally:
            await producer.stop()
    finally:
        await close(reader)
    raise ControlError(f"others send controls to {book} at the same time: look at them, and send yours again")


class _Controls:
    """The controls of one book that its topic holds."""

    def __init__(self, settings: KafkaSettings, book: str) -> None:
        self.signed: dict[int, Control] = {}  # by number; of several with one number the first counts
        self.highest = 0  # number, also of what another key signed: workers that have it may have applied it
        self._book = book
        self._believed = guard(settings)

    def add(self, raw: bytes | None) -> None:
        """Take in a record of the control topic; what is no control of this book is passed over."""
        try:
            event = from_json(raw or b"")
        except WireError:
            return  # workers make a dead letter of it
        if not isinstance(event, Control) or event.book != self._book:
            return
        if self._believed(event):
            self.signed.setdefault(event.number, event)
            self.highest = max(self.highest, event.number)
        elif event.number < _FARTHEST_NUMBER:
            self.highest = max(self.highest, event.number)


async def _read_on(reader: AIOKafkaConsumer, place: TopicPartition, controls: _Controls) -> None:
    """Read the control topic from where the reader stands to its end."""
    end = (await reader.end_offsets([place]))[place]
    while await reader.position(place) < end:
        for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
            controls.add(record.value)


def _passed(known: Iterable[Control], control: Control, reached: Reached) -> Iterable[int]:
    """Numbers of the earlier controls, not applied yet, that are for later rows than this one."""
    row = max(control.effective_from, reached.rows)
    return (c.number for c in known if reached.control < c.number < control.number and c.effective_from > row)


def decided_controls(raw: bytes) -> DecidedControls | None:
    """What a record of decisions says of controls; None where the bytes are anything else."""
    try:
        columns = msgspec.json.decode(raw, type=DecidedControls)
    except msgspec.DecodeError:
        return None
    return columns if columns.seq and len(columns.seq) == len(columns.controls) else None


async def _reached(settings: KafkaSettings, partitions: int, reader: AIOKafkaConsumer, book: str) -> Reached:
    """How far a book has come, from the last records of its topics, so that nobody waits for long.

    Raises UnknownBookError where no topic knows the book.
    """
    partition = partition_of(book, partitions)
    places = [TopicPartition(settings.topic(t), partition) for t in (DECISIONS, TICKS, STATEMENTS)]
    tails = await read_tails(reader, await spans(reader, places), [settings.topic(DECISIONS)])
    for tail in reversed(tails.get(settings.topic(DECISIONS), {}).get(book, [])):
        columns = decided_controls(tail.raw)
        if columns is not None:
            return Reached(columns.seq[-1] + 1, columns.controls[-1])
    if any(book in books for books in tails.values()):
        return Reached()
    known = await known_books(settings, partitions)  # all that is kept: the book may have been quiet for long
    if book not in known:
        names = ", ".join(sorted({*known, *(name for books in tails.values() for name in books if name)}))
        raise UnknownBookError(
            f"prefix {settings.prefix} has no book {book}, so nothing is sent: there are {names or 'none yet'}"
        )
    return Reached()
