"""A history sent through the topics: the book is opened, its rows are sent, and the book is closed."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aiokafka import TopicPartition

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.clients import MOST_BYTES, connect, ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.infra.kafka.broker.signing import sign
from windvane.infra.kafka.tools.books import KnownBook, free_name, known_books, last_seq
from windvane.metamodel.base.config import ConfigError
from windvane.streams.checks import MOST_MODEL_BYTES
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import BookClosed, BookOpened, Control, DeadLetter, Model, Ticks, cut
from windvane.streams.opening import unlike
from windvane.streams.topics import CONTROL, DEAD_LETTERS, DECISIONS, MODELS, TICKS

_IN_FLIGHT = 64
_QUIET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class History:
    """What is to be sent of one book."""

    opened: BookOpened
    ticks: Callable[[], Iterator[Ticks]]  # batches with seq from 0 without gaps, from the first at every call
    rows: int  # in all batches
    controls: tuple[Control | Model, ...] = ()  # a model before the control that names it
    letters: tuple[DeadLetter, ...] = ()
    closes: bool = True  # whether the book ends with its last row


def speed_of(text: str) -> float:
    """How many times as fast as it happened "1x" or "100x" is, 0 for "max"; raises ConfigError for anything else."""
    if text == "max":
        return 0.0
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = -1.0
    if not 0 < speed < 1e9:
        raise ConfigError(f"--speed is {text!r}: give max, or a number of times such as 1x or 100x")
    return speed


async def send(
    settings: KafkaSettings,
    history: History,
    *,
    speed: float,
    rows: int,
    progress: Callable[[int], None],
    stopping: Callable[[], bool],
) -> int:
    """Send a book from the row on that its topic lacks; returns how many rows are there then.

    speed: as of `speed_of`; rows: in a record at most; progress: called with the rows that are there; stopping: asked
    before each record. Raises SettingsError where the topic has a book of that name with other settings, or books that
    close their rounds in another way, or where controls cannot be signed.
    """
    partitions = await layout.check(settings)
    opened, book = history.opened, history.opened.book
    known = known_as(settings, opened, await known_books(settings, partitions))
    if history.controls and settings.control_key is None:
        raise SettingsError("this journal holds controls, which must be signed: set WINDVANE_CONTROL_KEY")
    done = 0 if known is None else known.rows
    partition = partition_of(book, partitions)
    producer = new_producer(settings, most_bytes=MOST_MODEL_BYTES if history.controls else MOST_BYTES)
    await connect(producer)
    try:

        async def write(topic: str, raw: bytes) -> "asyncio.Future[object]":
            return await producer.send(topic, raw, key=book.encode(), partition=partition)

        if known is None:
            key = (settings.control_key or "").encode()
            for control in history.controls:
                topic = settings.topic(MODELS if isinstance(control, Model) else CONTROL)
                await (await write(topic, to_json(sign(control, key, settings.prefix))))
            await (await write(settings.topic(TICKS), to_json(opened)))
            for letter in history.letters:
                await write(settings.topic(DEAD_LETTERS), to_json(letter))
        waiting: list[asyncio.Future[object]] = []
        pace = _Pace(speed)
        for batch in _records(history.ticks(), rows, done):
            if stopping():
                break
            await pace.until(int(batch.ts[-1]))
            waiting.append(await write(settings.topic(TICKS), to_json(batch)))
            done = batch.last + 1
            if len(waiting) >= _IN_FLIGHT:
                await waiting.pop(0)
            progress(done)
        if waiting:
            await asyncio.gather(*waiting)
        if history.closes and done >= history.rows and (known is None or not known.closed):
            end = BookClosed(book=book, last=history.rows - 1)
            await (await write(settings.topic(TICKS), to_json(end)))
    finally:
        await producer.stop()
    return done


def known_as(settings: KafkaSettings, opened: BookOpened, books: dict[str, KnownBook]) -> KnownBook | None:
    """What the topic has of a book that is to be sent; raises SettingsError where it would contradict that.

    books: those that the topic has, by name.
    """
    book, config = opened.book, opened.config
    closings = {known.opened.config.closing for name, known in books.items() if name != book}
    others = closings - {config.closing}
    if others:
        raise SettingsError(
            f"prefix {settings.prefix} holds {others.pop()} books, and this one is {config.closing}: "
            "give it a --prefix of its own"
        )
    known = books.get(book)
    if known is not None and known.opened.digest != opened.digest:
        raise SettingsError(
            f"book {book} was opened with other settings ({unlike(known.opened.config, config)}): "
            f"give --book {free_name(book, books)}, or the same settings"
        )
    return known


async def decided(
    settings: KafkaSettings,
    book: str,
    rows: int,
    progress: Callable[[int], None],
    stopping: Callable[[], bool],
) -> int:
    """Wait until so many rows of a book are decided; returns how many are, also when no more came for a minute."""
    partitions = await layout.check(settings)
    place = TopicPartition(settings.topic(DECISIONS), partition_of(book, partitions))
    done, quiet = 0, time.monotonic()
    async with reading(settings) as reader:
        first, _ = await ends_of(reader, [place])
        reader.assign([place])
        reader.seek(place, first[place])
        while done < rows and not stopping() and time.monotonic() - quiet < _QUIET_SECONDS:
            for record in (await reader.getmany(place, timeout_ms=500)).get(place, ()):
                if record.key == book.encode():
                    done, quiet = max(done, last_seq(record.value or b"") + 1), time.monotonic()
            progress(done)
    return done


def _records(batches: Iterable[Ticks], rows: int, done: int) -> Iterator[Ticks]:
    """The rows of batches from row `done` on, in pieces of at most `rows` rows."""
    for batch in batches:
        if batch.last >= done:
            for piece in cuts(cut(batch, max(0, done - batch.first), len(batch)), rows):
                if isinstance(piece, Ticks):
                    yield piece


class _Pace:
    """Holds rows back so that event time passes `speed` times as fast as the clock; 0 holds none back."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._start: tuple[int, float] | None = None

    async def until(self, ts: int) -> None:
        """Wait until an event of this time, UNIX ns, is due."""
        if self._speed == 0.0:
            return
        if self._start is None:
            self._start = ts, time.monotonic()
        due = self._start[1] + (ts - self._start[0]) / 1e9 / self._speed
        while (seconds := due - time.monotonic()) > 0:
            await asyncio.sleep(min(seconds, 0.5))
