"""Plays a recorded book against an agent that only writes to the proposals topic, and judges each of its answers."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.agents.benching import FIT, REASONS
from windvane.agents.naming import REMOTE
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.agent_keys import prover, signature_of
from windvane.infra.kafka.broker.clients import ends_of, new_producer, reading
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of
from windvane.metamodel.base.config import TradingConfig, default_stale_after, digest
from windvane.metamodel.simulation.market import BAR, simulate
from windvane.streams import answers
from windvane.streams.checks import Proven, decoded
from windvane.streams.codec import WireError, cuts, to_json
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import BookClosed, BookOpened, Event, Features, Proposals, Ticks, cut
from windvane.streams.topics import FEATURES, PROPOSALS
from windvane.streams.topology import TOPOLOGY

ROWS = 1200
"""Rows of the book that is played: features warm up in the first half of them."""

_EACH = 20
_SEED = 17


class Finding(NamedTuple):
    """What is wrong with the answers of an agent at a row, or with a record."""

    row: int  # -1 of a record that names none
    why: str


class Report(NamedTuple):
    """How an agent answered a book."""

    rows: int  # of the book
    answered: int  # rows with an answer that can be used
    seconds: float  # from the last row to the last answer, or until nobody waited any longer
    findings: tuple[Finding, ...]  # in the order of rows


async def check_remote(
    settings: KafkaSettings, agent: str, *, book: str, wait: float, rows: int = ROWS
) -> Report:
    """Write the features of a simulated market as a book, wait for the agent's answers, and judge them.

    book: a name that the features topic does not have; wait: seconds after which a row that has no answer never gets
    one. Raises SettingsError or LayoutError where the broker cannot be used, or the book is there already.
    """
    partitions = await layout.check(settings)
    place = TopicPartition(settings.topic(PROPOSALS), partition_of(book, partitions))
    features = TopicPartition(settings.topic(FEATURES), place.partition)
    async with reading(settings) as reader:
        await _check_fresh(reader, features, book)
        _, ends = await ends_of(reader, (place,))
        began = ends[place]
        await _write(settings, features, recorded(agent, book, rows))
        judge = Judge(agent, book, rows, prover(settings) if settings.agent_keys else _anybody)
        reader.assign([place])
        reader.seek(place, began)
        since = time.monotonic()
        while judge.lacking and time.monotonic() - since < wait:
            for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
                judge.take(record.value or b"", signature_of(record.headers))
        return judge.report(time.monotonic() - since)


def recorded(agent: str, book: str, rows: int) -> list[Event]:
    """The records of the features topic of a simulated market, with holes in time and rows that cannot be believed."""
    m = simulate("standard", rows, _SEED)
    config = TradingConfig(
        agents=(agent,), kinds=(REMOTE,), interval=BAR, stale_after=default_stale_after(BAR)
    )
    price = m.price.copy()
    price[[rows // 2, rows // 2 + 7]] = -1.0
    ticks = Ticks(book=book, seq=np.arange(rows), ts=m.ts.copy(), flags=np.zeros(rows, np.int64), price=price)
    seen: list[Event] = []
    runner = EmbeddedRunner(lambda topic, event: seen.append(event), topology=TOPOLOGY[:1])
    opened = BookOpened(book=book, config=config, digest=digest(config))
    runner.feed([opened, ticks, BookClosed(book=book, last=rows - 1)])
    out: list[Event] = [opened]
    for event in seen:
        if isinstance(event, Features):
            out += [piece for at in range(0, len(event), _EACH) for piece in cuts(cut(event, at, at + _EACH))]
    return [*out, BookClosed(book=book, last=rows - 1)]


class Judge:
    """Judges the answers of one agent as a book would: of each row the first counts."""

    def __init__(self, agent: str, book: str, rows: int, proven: Proven) -> None:
        self._agent, self._book, self._rows, self._proven = agent, book, rows, proven
        self._answers: dict[int, tuple[float, float, int]] = {}  # by row: target, confidence, and why not
        self._findings: list[Finding] = []

    @property
    def lacking(self) -> bool:
        """Whether a row has no answer yet."""
        return len(self._answers) < self._rows

    def take(self, raw: bytes, signature: bytes) -> None:
        """Judge a record of the proposals topic; those of other books and agents are passed over."""
        try:
            event = decoded(PROPOSALS, raw, None, signature, self._proven)
        except WireError as error:
            if self._book.encode() in raw:
                self._find(-1, f"a record is a dead letter: {error}")
            return
        if not isinstance(event, Proposals) or event.book != self._book or self._agent not in event.agents:
            return
        why = answers.unproven(event) if event.unproven else answers.refusal(event, (self._agent,))
        if why:
            self._find(event.first, f"a record is a dead letter: {why}")
            return
        for piece in answers.judged(event):
            code = FIT if piece.benched is None else int(piece.benched[0, 0])
            columns = (piece.seq.tolist(), piece.target[:, 0].tolist(), piece.confidence[:, 0].tolist())
            for row, target, confidence in zip(*columns, strict=True):
                self._answer(row, (target, confidence, code))

    def _answer(self, row: int, answer: tuple[float, float, int]) -> None:
        if row >= self._rows:
            self._find(row, "the book has no such row")
            return
        first = self._answers.setdefault(row, answer)
        if first != answer:
            self._find(row, "it is answered twice, and not alike: the first answer counts")
        elif answer[2] != FIT:
            self._find(row, REASONS[answer[2]])

    def _find(self, row: int, why: str) -> None:
        self._findings.append(Finding(row, why))

    def report(self, seconds: float) -> Report:
        """What was found, rows without an answer among it."""
        missing = [Finding(row, "it has no answer") for row in range(self._rows) if row not in self._answers]
        fit = sum(code == FIT for _, _, code in self._answers.values())
        return Report(self._rows, fit, seconds, tuple(sorted([*self._findings, *missing])))


def _anybody(agents: tuple[str, ...], raw: bytes, signature: bytes) -> bool:
    return True


async def _check_fresh(reader: AIOKafkaConsumer, place: TopicPartition, book: str) -> None:
    """Raise SettingsError where the features topic knows the book."""
    first, ends = await ends_of(reader, (place,))
    reader.assign([place])
    reader.seek(place, first[place])
    while await reader.position(place) < ends[place]:
        for record in (await reader.getmany(place, timeout_ms=200)).get(place, ()):
            if record.key == book.encode():
                raise SettingsError(f"book {book} is on {place.topic} already: give another --book")


async def _write(settings: KafkaSettings, place: TopicPartition, events: Sequence[Event]) -> None:
    producer = new_producer(settings)
    await producer.start()
    try:
        for event in events:
            await producer.send(
                place.topic, to_json(event), key=event.book.encode(), partition=place.partition
            )
        await producer.flush()
    finally:
        await producer.stop()
