"""What becomes of a control: the book's decisions say from which row it rules, a dead letter that it never will."""

import time
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from windvane.infra.kafka.broker.clients import ends_of, reading
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings, SettingsError
from windvane.infra.kafka.tools.controls import Sent, decided_controls
from windvane.streams.codec import WireError, from_json
from windvane.streams.control_log import payload_of
from windvane.streams.events import DeadLetter
from windvane.streams.topics import CONTROL, DECISIONS
from windvane.streams.topology import TOPOLOGY

WAIT_SECONDS = 30.0
"""So long a person waits for a book to obey where nothing else is asked for."""

_APPLIES = next(stage.name for stage in TOPOLOGY if CONTROL in stage.reads)
_READ_MS = 250
_ASK_SECONDS = 0.5
_REFUSAL_SECONDS = 2.0
"""A worker commits that it has read a control a moment before its refusal arrives: a refusal may take so long."""


class NotObeyedError(SettingsError):
    """A control was sent but is not in effect; the message says what is known of it."""


class Outcome(NamedTuple):
    """What is known of a control."""

    sent: Sent
    obeyed: bool  # in effect, or planned for a later row and read by the workers
    row: int | None  # the first row that it rules, None where it rules none yet
    sentence: str  # for a person


async def outcome(settings: KafkaSettings, sent: Sent, seconds: float = WAIT_SECONDS) -> Outcome:
    """Wait until a control is in effect, planned or refused, for `seconds` at most, and say which of them it is.

    A broker that goes away meanwhile is no error: the outcome's sentence says that nothing more is known.
    """
    answers = _Answers(settings, sent)
    try:
        read = await _follow(settings, answers, seconds)
    except KafkaError as error:
        lost = f"the broker went away while it was waited for ({error!r}): look with `windvane status`"
        return Outcome(sent, False, answers.row, f"{answers.name} is written, and {lost}")
    return Outcome(sent, *_judged(settings, answers, read, seconds))


class _Answers:
    """What the topics have said of a control since it was sent."""

    def __init__(self, settings: KafkaSettings, sent: Sent) -> None:
        control = sent.control
        self.sent, self.control = sent, control
        self.name = f"control {control.number} of book {control.book} ({control.action})"
        self.place = TopicPartition(settings.topic(CONTROL), next(iter(sent.since)).partition)
        self.rows = sent.reached.rows  # decided
        self.row: int | None = None  # the first that the control rules
        self.refusal: str | None = None
        self._decisions = settings.topic(DECISIONS)
        self._payload = payload_of(control)
        self._source = f"{CONTROL.name}, partition {self.place.partition}, offset {sent.offset}"

    @property
    def complete(self) -> bool:
        """Whether the control rules a row, or is refused."""
        return self.row is not None or self.refusal is not None

    def add(self, topic: str, key: bytes | None, raw: bytes) -> None:
        """Take in a record of decisions or of dead letters."""
        if topic == self._decisions:
            columns = decided_controls(raw) if key == self.control.book.encode() else None
            if columns is not None:
                self.rows = max(self.rows, columns.seq[-1] + 1)
                if self.row is None and self.control.number in columns.controls:
                    self.row = columns.seq[columns.controls.index(self.control.number)]
            return
        try:
            letter = from_json(raw)
        except WireError:
            return
        if isinstance(letter, DeadLetter) and (
            letter.source == self._source
            or (letter.book, letter.payload) == (self.control.book, self._payload)
        ):
            self.refusal = letter.reason


async def _follow(settings: KafkaSettings, answers: _Answers, seconds: float) -> bool:
    """Read answers until the outcome is known or the time is up; returns whether the workers have read the control."""
    sent, until = answers.sent, time.monotonic() + seconds
    async with reading(settings) as reader, _Workers(settings, answers.place) as workers:
        reader.assign(list(sent.since))
        for place, offset in sent.since.items():
            reader.seek(place, offset)
        while True:
            await _read(reader, answers)
            read = await workers.have_read(sent.offset)
            planned = read and sent.control.effective_from > answers.rows
            if answers.complete or planned or time.monotonic() > until:
                break
        # What was committed together with the first answer is read too: a control may rule a row and come to nothing.
        _, ends = await ends_of(reader, list(sent.since))
        until = time.monotonic() + _REFUSAL_SECONDS  # what an open transaction holds back is not waited for
        while time.monotonic() < until and any([await reader.position(p) < ends[p] for p in sent.since]):
            await _read(reader, answers)
    return read


async def _read(reader: AIOKafkaConsumer, answers: _Answers) -> None:
    """Take in what has come, waiting a quarter of a second for it at most."""
    for place, records in (await reader.getmany(timeout_ms=_READ_MS)).items():
        for record in records:
            answers.add(place.topic, record.key, record.value or b"")


class _Workers:
    """How far the group of the ensemble's workers has read the controls of a partition."""

    def __init__(self, settings: KafkaSettings, place: TopicPartition) -> None:
        self._admin = AIOKafkaAdminClient(**settings.client(), request_timeout_ms=int(ANSWER_SECONDS * 1000))
        self._group = f"{settings.prefix}.{_APPLIES}"
        self._place = place
        self._asked = float("-inf")
        self._read_since: float | None = None  # when the record was first seen to be read, monotonic seconds

    async def __aenter__(self) -> "_Workers":
        await self._admin.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._admin.close()

    async def have_read(self, offset: int) -> bool:
        """Whether a record was read so long ago that its refusal would have come; False where that is not known."""
        now = time.monotonic()
        if self._read_since is None and now - self._asked > _ASK_SECONDS:
            self._asked = now
            try:
                at = await self._admin.list_consumer_group_offsets(self._group, partitions=[self._place])
            except (TimeoutError, KafkaError):
                return False  # no such group yet, or this user may not see it
            if self._place in at and at[self._place].offset > offset:
                self._read_since = now
        return self._read_since is not None and now - self._read_since > _REFUSAL_SECONDS


def _judged(
    settings: KafkaSettings, answers: _Answers, read: bool, seconds: float
) -> tuple[bool, int | None, str]:
    """Whether the control is obeyed, the first row that it rules, and the sentence for a person."""
    name, row, refusal, effective_from = (
        answers.name,
        answers.row,
        answers.refusal,
        answers.control.effective_from,
    )
    if row is not None and refusal is not None:
        return False, row, f"{name} was obeyed at row {row:,} and came to nothing: {refusal}"
    if row is not None:
        return True, row, f"{name} is in effect from row {row:,}"
    if refusal is not None:
        hint = " (they have another key, or none)" if "is not signed" in refusal else ""
        return False, None, f"{name} is REFUSED by the workers: {refusal}{hint}"
    last = f"{answers.rows:,} rows are decided"
    if read and effective_from > answers.rows:
        plan = f"the workers have read it, {last}, and it is in effect from row {effective_from:,}"
        return True, None, f"{name} is planned: {plan}"
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
