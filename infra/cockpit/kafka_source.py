"""KafkaSource: all books of a prefix, read from their topics, and controlled as `windvane control` does it."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from windvane.infra.cockpit.records import events_of
from windvane.infra.cockpit.source import Facts, Outcome, Press, story
from windvane.infra.cockpit.timeline import ROWS, Timeline
from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError
from windvane.infra.kafka.tools.controls import new_control, send_control
from windvane.infra.status.books import Book
from windvane.infra.status.status import Watcher, watching
from windvane.infra.status.troubles import Limits, of_books
from windvane.streams.control_log import payload_of
from windvane.streams.summaries import FLATTENING
from windvane.streams.topics import (
    CONTROL,
    DEAD_LETTERS,
    DECISIONS,
    FILLS,
    LEARNER,
    ORDERS,
    PROPOSALS,
    STATEMENTS,
)

_FOLLOWED = (DECISIONS, PROPOSALS, ORDERS, FILLS, STATEMENTS, LEARNER, DEAD_LETTERS)
_BACK_SECONDS = 26 * 3600
"""So much of every topic is read at the start: a day of rows, and the statement of the day before."""
_MOST_BACK = 20_000
"""Offsets of a partition that are read at the start at most, since a replay writes a year in minutes."""
_READ_MS, _MOST_RECORDS = 100, 200
_WATCH_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_MANY, _FEW_ROWS = 64, 256
"""Of more books than so many each later one keeps only so many rows."""


class KafkaSource:
    """A source from `async with` on; what goes wrong later is told by `trouble`, and it goes on by itself.

    Raises SettingsError where the broker cannot be reached, LayoutError where topics are missing.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self.no_control = ""
        if settings.control_key is None:
            self.no_control = (
                "nothing can be ordered from here: start the cockpit with WINDVANE_CONTROL_KEY set"
            )
        self._settings = settings
        self._places: list[TopicPartition] = []
        self._offsets: dict[TopicPartition, int] = {}  # of the next record to be read
        self._timelines: dict[str, Timeline] = {}
        self._told: dict[str, Book] = {}
        self._troubles: dict[str, str] = {}  # by who tells of it
        self._refusals: dict[
            tuple[str, int], tuple[str, str]
        ] = {}  # payload and source of a control's refusal
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        async with watching(self._settings) as watcher:
            partitions = range(watcher.partitions)
            self._places = [TopicPartition(self._settings.topic(t), p) for t in _FOLLOWED for p in partitions]
            await self._look(watcher)
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._watch())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What the page asks for

    @property
    def trouble(self) -> str:
        """What is wrong with the broker, the workers or the stages."""
        return " ".join(text for text in self._troubles.values() if text)

    def books(self) -> Sequence[str]:
        """Names of all books, open ones first."""
        return sorted(self._timelines, key=lambda name: (self._timelines[name].closed, name))

    def timeline(self, book: str) -> Timeline:
        """The history of a book; raises KeyError where there is none of that name."""
        return self._timelines[book]

    def facts(self, book: str) -> Facts:
        """What workers told of a book last."""
        told = self._told.get(book)
        if told is None:
            return Facts()
        texts = [trouble.text for trouble in told.troubles]
        return Facts(troubles=texts, lag=told.behind, flattening=told.state == FLATTENING)

    async def control(self, press: Press) -> Outcome:
        """Sign and write a control; raises SettingsError where that cannot be done."""
        try:
            sent = await send_control(self._settings, new_control(press.book, press.action, 0, story(press)))
        except (KafkaError, TimeoutError) as error:
            raise SettingsError(f"the broker did not take the control ({error!r}): try again") from error
        control, partition = sent.control, next(iter(sent.since)).partition
        source = f"{CONTROL.name}, partition {partition}, offset {sent.offset}"
        self._refusals[press.book, control.number] = payload_of(control), source
        sentence = f"{_name(press, control.number)} is written, and no decision has obeyed it yet"
        return Outcome(control.number, False, None, sentence, False)

    def outcome(self, press: Press, sent: Outcome) -> Outcome:
        """What decisions and dead letters say of a control since."""
        timeline, name = self._timelines[press.book], _name(press, sent.number)
        refusal = timeline.refusal(*self._refusals[press.book, sent.number])
        row = timeline.obeyed(sent.number)
        if refusal is not None:
            return Outcome(sent.number, False, row, f"{name} is REFUSED by the workers: {refusal}", True)
        if row is not None:
            return Outcome(sent.number, True, row, f"{name} is in effect from row {row:,}", True)
        if timeline.passed(sent.number):
            return Outcome(sent.number, False, None, f"{name} was passed by a later control", True)
        return sent

    # How it is followed

    async def _follow(self) -> None:
        """Read events for ever."""
        while True:
            try:
                async with reading(self._settings) as reader:
                    await self._seek(reader)
                    while True:
                        found = await reader.getmany(timeout_ms=_READ_MS, max_records=_MOST_RECORDS)
                        self._troubles["follow"] = ""
                        for place, records in found.items():
                            self._take(place, records)
                        await asyncio.sleep(0)
            except OffsetOutOfRangeError:
                self._offsets.clear()
            except (KafkaError, TimeoutError) as error:
                self._troubles["follow"] = self._away(error)
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _seek(self, reader: AIOKafkaConsumer) -> None:
        """Go on where it stopped, or begin a day ago."""
        first, ends = await ends_of(reader, self._places)
        since = int((time.time() - _BACK_SECONDS) * 1000)
        a_day_ago = await reader.offsets_for_times(dict.fromkeys(self._places, since))
        reader.assign(self._places)
        for place in self._places:
            at = a_day_ago[place]
            start = ends[place] if at is None else max(at.offset, ends[place] - _MOST_BACK)
            reader.seek(place, max(first[place], self._offsets.get(place, start)))

    def _take(self, place: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        topic = place.topic.removeprefix(self._settings.topic(""))
        for event, at in events_of(topic, records):
            if event.book:
                self._timeline(event.book).add(event, at)
        self._offsets[place] = records[-1].offset + 1

    def _timeline(self, book: str) -> Timeline:
        found = self._timelines.get(book)
        if found is None:
            rows = ROWS if len(self._timelines) < _MANY else _FEW_ROWS
            found = self._timelines[book] = Timeline(book, rows)
        return found

    async def _watch(self) -> None:
        """Ask for the status again and again."""
        while True:
            try:
                async with watching(self._settings) as watcher:
                    while True:
                        await self._look(watcher)
                        await asyncio.sleep(_WATCH_SECONDS)
            except (KafkaError, TimeoutError, SettingsError) as error:
                self._troubles["watch"] = (
                    str(error) if isinstance(error, SettingsError) else self._away(error)
                )
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _look(self, watcher: Watcher) -> None:
        status = await watcher.status(Limits())
        self._told = status.books
        for book in status.books.values():
            timeline = self._timeline(book.book)
            timeline.closed = book.state == "closed"
            if book.capital is not None:
                timeline.opened(book.symbol or "", book.agents, book.capital)
        of_all = set(of_books(status.books.values()))
        self._troubles["watch"] = " ".join(text for text in status.troubles if text not in of_all)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say loudly that nothing is followed any more: only a mistake of the program ends a task."""
        if not task.cancelled():
            self._troubles["end"] = (
                f"the cockpit has stopped following ({task.exception()!r}): start it again."
            )

    def _away(self, error: Exception) -> str:
        return (
            f"the broker at {self._settings.bootstrap} does not answer ({type(error).__name__}): look at it."
        )


def _name(press: Press, number: int) -> str:
    return f"control {number} of book {press.book} ({press.action})"
