"""What became of a control: the book's decisions say from which row it rules, a dead letter that it never will."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings, SettingsError
from windvane.infra.kafka.tools.controls import Sent
from windvane.infra.kafka.tools.standing import decided
from windvane.streams.codec import WireError, from_json
from windvane.streams.control_log import payload_of
from windvane.streams.events import DeadLetter
from windvane.streams.topics import CONTROL, DECISIONS
from windvane.streams.topology import TOPOLOGY

WAIT_SECONDS = 30.0
"""So long a person waits for a book to obey, unless told otherwise."""

_OBEYS = next(stage.name for stage in TOPOLOGY if CONTROL in stage.reads)
_READ_MS = 250
_ASK_SECONDS = 0.5
_REFUSAL_SECONDS = 2.0
"""A worker's place is known a moment before what it wrote: so long a refusal may still be on its way."""


class NotObeyedError(SettingsError):
    """A control that is on its topic, and not in effect; the message says what is known."""


class Outcome(NamedTuple):
    """What is known of a control. sentence: for a person."""

    sent: Sent
    obeyed: bool  # in effect, or planned for a later row and read by the workers
    row: int | None  # the first row that it rules, None where it rules none yet
    sentence: str


class _Watch:
    """What the topics have said of a control since it was sent."""

    def __init__(self, settings: KafkaSettings, sent: Sent) -> None:
        control = sent.control
        self.control = control
        self.rows = sent.standing.rows  # decided
        self.row: int | None = None  # the first that the control rules
        self.refusal: str | None = None
        partition = next(iter(sent.since)).partition
        self._decisions = settings.topic(DECISIONS)
        self._said = payload_of(control)
        self._place = f"{CONTROL.name}, partition {partition}, offset {sent.offset}"

    def add(self, topic: str, key: bytes | None, raw: bytes | None) -> None:
        """Take in a record of decisions or of dead letters."""
        if topic == self._decisions:
            found = decided(raw or b"") if key == self.control.book.encode() else None
            if found is not None:
                self.rows = max(self.rows, found.seq[-1] + 1)
                if self.row is None and self.control.number in found.controls:
                    self.row = found.seq[found.controls.index(self.control.number)]
            return
        try:
            letter = from_json(raw or b"")
        except WireError:
            return
        if isinstance(letter, DeadLetter) and (
            letter.source == self._place or (letter.book, letter.payload) == (self.control.book, self._said)
        ):
            self.refusal = letter.reason


async def outcome(settings: KafkaSettings, sent: Sent, seconds: float = WAIT_SECONDS) -> Outcome:
    """Wait until a control is in effect, planned, or refused, at most so many seconds; says which."""
    watch = _Watch(settings, sent)
    try:
        read = await _follow(settings, sent, watch, seconds)
    except KafkaError as error:
        lost = f"the broker went away while it was waited for ({error!r}): look with `windvane status`"
        return Outcome(sent, False, watch.row, f"{_name(watch)} is written, and {lost}")
    return Outcome(sent, *_told(watch, settings, read, seconds))


async def _follow(settings: KafkaSettings, sent: Sent, watch: _Watch, seconds: float) -> bool:
    """Read until more is known or the time is up; gives whether the workers have read the control."""
    until = time.monotonic() + seconds
    place = TopicPartition(settings.topic(CONTROL), next(iter(sent.since)).partition)
    async with reading(settings) as reader, _Group(settings, place) as group:
        reader.assign(list(sent.since))
        for told, offset in sent.since.items():
            reader.seek(told, offset)
        while True:
            await _read(reader, watch, _READ_MS)
            read = await group.has_read(sent.offset)
            planned = read and sent.control.effective_from > watch.rows
            if watch.row is not None or watch.refusal is not None or planned or time.monotonic() > until:
                break
        await _to_the_end(reader, watch, sent.since)  # of what was committed with it
    return read


async def _read(reader: AIOKafkaConsumer, watch: _Watch, milliseconds: int) -> None:
    for place, records in (await reader.getmany(timeout_ms=milliseconds)).items():
        for record in records:
            watch.add(place.topic, record.key, record.value)


async def _to_the_end(reader: AIOKafkaConsumer, watch: _Watch, places: Mapping[TopicPartition, int]) -> None:
    _, ends = await ends_of(reader, list(places))
    until = time.monotonic() + _REFUSAL_SECONDS  # what an open transaction holds back is not waited for
    while time.monotonic() < until and any([await reader.position(p) < ends[p] for p in places]):
        await _read(reader, watch, _READ_MS)


class _Group:
    """How far the ensemble's workers have read the controls of a partition."""

    def __init__(self, settings: KafkaSettings, place: TopicPartition) -> None:
        self._admin = AIOKafkaAdminClient(**settings.client(), request_timeout_ms=int(ANSWER_SECONDS * 1000))
        self._name = f"{settings.prefix}.{_OBEYS}"
        self._place = place
        self._asked = float("-inf")
        self._since: float | None = None  # when it was first seen to be read

    async def __aenter__(self) -> "_Group":
        await self._admin.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._admin.close()

    async def has_read(self, offset: int) -> bool:
        """Whether a record was read so long ago that its refusal would be there; False where that is not known."""
        now = time.monotonic()
        if self._since is None and now - self._asked > _ASK_SECONDS:
            self._asked = now
            try:
                at = await self._admin.list_consumer_group_offsets(self._name, partitions=[self._place])
            except (TimeoutError, KafkaError):
                return False  # no such group yet, or not to be seen by this user
            if self._place in at and at[self._place].offset > offset:
                self._since = now
        return self._since is not None and now - self._since > _REFUSAL_SECONDS


def _name(watch: _Watch) -> str:
    control = watch.control
    return f"control {control.number} of book {control.book} ({control.action})"


def _told(watch: _Watch, settings: KafkaSettings, read: bool, seconds: float) -> tuple[bool, int | None, str]:
    """Whether it is obeyed, from which row, and what to say."""
    control, name = watch.control, _name(watch)
    if watch.row is not None and watch.refusal is not None:
        return (
            False,
            watch.row,
            f"{name} was obeyed at row {watch.row:,} and came to nothing: {watch.refusal}",
        )
    if watch.row is not None:
        return True, watch.row, f"{name} is in effect from row {watch.row:,}"
    if watch.refusal is not None:
        hint = " (they have another key, or none)" if "is not signed" in watch.refusal else ""
        return False, None, f"{name} is REFUSED by the workers: {watch.refusal}{hint}"
    later = control.effective_from > watch.rows
    if read and later:
        return (
            True,
            None,
            (
                f"{name} is planned: the workers have read it, {watch.rows:,} rows are decided, "
                f"and it is in effect from row {control.effective_from:,}"
            ),
        )
    last = f"{watch.rows:,} rows are decided"
    if read:
        why = (
            f"the workers have read it and do not refuse it, but no row has come that it rules ({last}): it is in "
            "effect from the next row that comes, and before that nothing is ordered"
        )
    else:
        why = (
            f"no worker of the ensemble is known to have read it ({last}): it stands on the topic, and the first "
            "worker that reads it with the same key obeys it. See whether one runs and has the key "
            f"(`windvane status --bootstrap {settings.bootstrap} --prefix {settings.prefix}`)"
        )
    return False, None, f"{name} is NOT IN EFFECT after {seconds:g} s: {why}"
