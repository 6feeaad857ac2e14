"""The scheduler of faults: the topology on a log in memory, under everything that can go wrong, from a seed.

At every point between reading, sending, transaction, snapshot and commit a worker may crash, lose the acknowledgement
of a commit, be doubled by a zombie that wakes later, or move to a place without stored state. Whatever happens, the
committed log must say what an undisturbed run says.

Of timed books it must say what follows from the choices that it holds. Their runner has a clock that goes at random,
controls and learner updates come late, and a worker may stand still for so long that its agents are put to sleep.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from windvane.streams.checks import Checks
from windvane.streams.gap_timer import GapTimer
from windvane.streams.many_rows import Delivered
from windvane.streams.round_timer import RoundTimer
from windvane.streams.stage import Stage
from windvane.streams.stored import Saving
from windvane.streams.topics import CONTROL, MODELS, PROPOSALS, TICKS, TOPICS, Topic
from windvane.streams.topology import TOPOLOGY
from windvane.streams.worker import Record, StageWorker

_LAYOUT = "faults"


class _CrashError(Exception):
    """The worker is gone, at this point."""


class _FencedError(Exception):
    """Somebody newer writes for this partition."""


class Stored(NamedTuple):
    """A record of the in-memory log, with its offset."""

    offset: int
    raw: bytes
    signature: bytes = b""  # that stands beside it


class Log:
    """One partition of every topic in memory; offsets have gaps where a transaction ended, as in Kafka."""

    def __init__(self) -> None:
        self._topics: dict[str, list[Stored]] = {topic.name: [] for topic in TOPICS}
        self._end: dict[str, int] = {topic.name: 0 for topic in TOPICS}
        self._epoch = 0

    def append(self, topic: str, raw: bytes, signature: bytes = b"") -> None:
        """Append one committed record to a topic."""
        self._topics[topic].append(Stored(self._end[topic], raw, signature))
        self._end[topic] += 1

    def read(self, topic: str, start: int, most: int) -> list[Stored]:
        """Return at most `most` committed records from offset `start` on."""
        records = self._topics[topic]
        low, high = 0, len(records)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if records[middle].offset < start else (low, middle)
        return records[low : low + most]

    def end(self, topic: str) -> int:
        """Return the offset that the next record will get."""
        return self._end[topic]

    def fence(self) -> int:
        """Become the only writer of transactions, and abort open ones of earlier writers; returns the new epoch."""
        self._epoch += 1
        return self._epoch

    def commit(self, epoch: int, sent: Sequence[Record]) -> dict[str, int]:
        """Write all records at once, or none; returns the ends. Raises where somebody newer has fenced this writer."""
        if epoch != self._epoch:
            raise _FencedError
        for topic, _, raw in sent:
            self.append(topic.name, raw)
        for name in {topic.name for topic, _, _ in sent}:
            self._end[name] += 1  # the marker of the transaction takes an offset
        return {topic.name: self._end[topic.name] for topic, _, _ in sent}

    def records(self, topic: Topic) -> Sequence[Stored]:
        """Return all committed records of a topic with what stands beside them, in order."""
        return tuple(self._topics[topic.name])

    def raws(self, topic: Topic) -> Iterator[bytes]:
        """Return all committed records of a topic, in order."""
        return (record.raw for record in self._topics[topic.name])


@dataclass(slots=True)
class Faults:
    """The probability of each fault at a step; all of them may happen in one run."""

    crash: float = 0.02  # at each point
    lost_commit: float = 0.02  # committed, but the worker does not learn it
    zombie: float = 0.02  # replaced while it sleeps; wakes later
    empty: float = 0.3  # of a restart: without stored state
    twice: float = 0.05  # a record is sent twice
    save: float = 0.2
    away: float = 0.0  # a worker of anything but rounds stands still for up to 60 of its steps
    late: bool = False  # controls are read like any source, and not before the rows that they rule
    most: int = 60  # number of strikes; after them none follows, so that every run ends


@dataclass(slots=True)
class _Place:
    """A stage and whoever runs it: at most one worker and any number of zombies."""

    stage: Stage
    stored: bytes | None = None
    live: "_Instance | None" = None
    away: int = 0  # steps to stand still
    zombies: list["_Instance"] = field(default_factory=list)


class _Instance:
    """A worker, and what it does between two points at which it may crash."""

    def __init__(self, place: _Place, log: Log, stored: bytes | None, checks: Checks | None) -> None:
        self.place = place
        self.epoch = log.fence() if place.stage.transactional else 0
        self.worker = StageWorker(place.stage, _LAYOUT, stored, checks)
        if self.epoch or place.stage.records:
            for topic in place.stage.emits:
                for record in log.read(topic.name, self.worker.outputs.get(topic.name, 0), 10**9):
                    self.worker.follow(topic, record.raw)
        # What this worker knows to be written. The end of the log may be further: a zombie that looked there would
        # store a state older than the place to follow from.
        self.ends = {topic.name: log.end(topic.name) for topic in place.stage.emits}
        self.timer = RoundTimer()
        self.gaps = GapTimer()
        self.saving: Saving | None = None  # some books may be left to copy, while it steps on

    def idle(self, log: Log) -> bool:
        return all(
            log.end(name) <= at or not log.read(name, at, 1) for name, at in self.worker.positions.items()
        )


class FaultyRunner:
    """Runs the topology over a log in memory until nothing is left to do, while `faults` happen.

    checks: of every worker; signature: what workers that do not write in transactions put beside their records.
    """

    def __init__(
        self,
        seed: int,
        faults: Faults,
        topology: Sequence[Stage] = TOPOLOGY,
        checks: Checks | None = None,
        signature: bytes = b"",
    ) -> None:
        self.log = Log()
        self._checks, self._signature = checks, signature
        self.struck = 0
        self._faults = faults
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._places = [_Place(stage) for stage in topology]
        self._now = 0  # ns
        self._coming: deque[tuple[int, str, bytes, bytes]] = deque()

    def send(self, topic: Topic, raws: Sequence[bytes]) -> None:
        """Put records on an input topic; send controls before the rows that they rule."""
        for raw in raws:
            self.log.append(topic.name, raw)

    def send_later(self, at: int, topic: Topic, raw: bytes, signature: bytes = b"") -> None:
        """Put a record on an input topic `at` ns after the start; times must not go back."""
        self._coming.append((at, topic.name, raw, signature))

    def run(self, most: int = 20_000) -> None:
        """Step until live workers have read everything; raises RuntimeError after `most` steps."""
        for _ in range(most):
            self._now += int(self._random.integers(20_000_000))
            while self._coming and self._coming[0][0] <= self._now:
                self.log.append(*self._coming.popleft()[1:])
            place = self._places[int(self._random.integers(len(self._places)))]
            if place.away:
                place.away -= 1
                continue
            self._act(place)
            if not self._coming and all(p.live is not None and p.live.idle(self.log) for p in self._places):
                return
        raise RuntimeError(f"not done after {most} steps: some stage waits for ever")

    def _chance(self, share: float) -> bool:
        hit = bool(self._random.random() < share) and self.struck < self._faults.most
        self.struck += hit
        return hit

    def _point(self) -> None:
        if self._chance(self._faults.crash):
            raise _CrashError

    def _act(self, place: _Place) -> None:
        """One step of a stage: start it, let it or one of its zombies work, or let it fall asleep."""
        if place.live is None:
            empty = self._random.random() < self._faults.empty
            place.live = _Instance(place, self.log, None if empty else place.stored, self._checks)
            return
        if self._faults.away and not place.stage.transactional and self._chance(self._faults.away):
            place.away = int(self._random.integers(60))
            return
        if self._chance(self._faults.zombie):
            place.zombies.append(place.live)
            place.live = None
            return
        woken = place.zombies and self._random.random() < 0.3
        instance = place.zombies[0] if woken else place.live
        try:
            self._work(instance)
        except (_CrashError, _FencedError):
            if woken:
                place.zombies.pop(0)
            else:
                place.live = None

    def _work(self, instance: _Instance) -> None:
        self._read(instance)
        self._point()
        self._clock(instance)
        sent = instance.worker.step()
        self._point()
        if instance.epoch:
            ends: dict[str, int] = {}
            if sent:
                ends = self.log.commit(instance.epoch, sent)
            if self._chance(self._faults.lost_commit):
                raise _CrashError  # anything but an acknowledged commit throws the state away
            instance.ends |= ends
        else:
            for topic, _, raw in sent:
                for _ in range(1 + self._chance(self._faults.twice)):
                    self.log.append(topic.name, raw, self._signature)
                self._point()
        self._point()
        if instance.saving is None and self._random.random() < self._faults.save:
            instance.saving = instance.worker.begin_save(instance.ends)
        if instance.saving is not None and instance.saving.copy_some(int(self._random.integers(3))):
            stored, instance.saving = b"".join(instance.saving.parts()), None
            self._point()
            instance.place.stored = stored

    def _clock(self, instance: _Instance) -> None:
        """In the next step of a worker, close the rounds of timed books that are due, and give up rows."""
        worker, timer = instance.worker, instance.timer
        for book, stop in instance.gaps.late(worker.holes(), self._now).items():
            if worker.next_offset(TICKS) >= self.log.end(TICKS.name):
                worker.give_up(book, stop)
        if timer.watch(worker.open_rounds(), self._now):
            timer.ends_at(self.log.end(PROPOSALS.name))
        for book, stop in timer.due(worker.next_offset(PROPOSALS)).items():
            worker.close_rounds(book, stop)

    def _read(self, instance: _Instance) -> None:
        """A few records of one source; controls to their end first, as a lockstep book needs them."""
        sources = {topic.name: topic for topic in instance.place.stage.reads}
        positions = instance.worker.positions
        for topic in (MODELS, CONTROL) if CONTROL.name in sources and not self._faults.late else ():
            for record in self.log.read(topic.name, positions[topic.name], 10**9):
                instance.worker.receive(topic, record.offset, record.raw)
        waiting = [name for name in sources if self.log.read(name, positions[name], 1)]
        if not waiting:
            return
        name = waiting[int(self._random.integers(len(waiting)))]
        some = self.log.read(name, positions[name], int(self._random.integers(1, 12)))
        records = [Delivered(record.offset, record.raw, None, record.signature) for record in some]
        instance.worker.receive_all(sources[name], records)
