"""One stage on one partition of a real log: fence, load, follow what was published, then read, step, send, save.

The offsets in the stored state are the truth. Anything but an acknowledged write throws the state away, and the
partition starts again from the stored one.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import RecordMetadata

from windvane.infra.kafka.broker.batches import batches, by_topic
from windvane.infra.kafka.broker.clients import close, ends_of, new_producer, new_reader
from windvane.infra.kafka.worker.closing import Closer
from windvane.infra.kafka.worker.inlet import MS, Inlet
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.kafka.worker.recovery import RECOVERY_MS, Offsets, check_handover, follow, refuse_gaps
from windvane.infra.kafka.worker.saver import Saver
from windvane.infra.kafka.worker.trainings import Trainings
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.topics import CONTROL, DEAD_LETTERS, MODELS, PROPOSALS, Topic
from windvane.streams.worker import Record, StageWorker

_MOST_RECORDS = 512
"""Records worked off in one step; what a fetch may bring bounds their bytes, so that no step holds up heartbeats."""

_IDLE_SECONDS = 0.25
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_FENCED_SECONDS = 3.0
_LONG_SECONDS = 10.0


class PartitionHost:
    """Runs a plan's stage on one partition until it is stopped."""

    def __init__(
        self,
        plan: WorkerPlan,
        partition: int,
        metrics: WorkerMetrics,
        inlet: Callable[[AIOKafkaConsumer], Inlet] = Inlet,
    ) -> None:
        self.plan = plan
        self.partition = partition
        self.inlet: Inlet | None = None
        self._new_inlet = inlet
        self._metrics = metrics
        self._log = logger(stage=plan.name, partition=partition)
        self._topics = {plan.settings.topic(t): t for t in plan.stage.reads}
        self._places = {name: TopicPartition(name, partition) for name in self._topics}
        self._worker: StageWorker | None = None
        self._ends: dict[str, int] = {}
        self._stalled: dict[str, tuple[int, float]] = {}  # next row, and since when it is
        self._saver = Saver(plan, partition, metrics)
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends when the host is stopped, or raises StateError where no restart can help."""
        self._task = asyncio.create_task(self._run())
        return self._task

    async def stop(self) -> None:
        """Finish the step at hand, store the state, and end."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            began = time.monotonic()
            try:
                await self._live()
            except (ProducerFenced, InvalidProducerEpoch):
                self._restarting("another worker has taken this partition over", _FENCED_SECONDS)
                await self._pause(_FENCED_SECONDS)
            except (
                KafkaError,
                IllegalOperation,
                OSError,
                TimeoutError,
            ) as error:  # the second is no KafkaError
                failures = 1 if time.monotonic() - began > 60 else failures + 1
                wait = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS)) - 1]
                self._restarting(f"{type(error).__name__}: {error}", wait)
                await self._pause(wait)

    def _restarting(self, reason: str, wait: float) -> None:
        self._metrics.restarted(self.partition, reason)
        self._log.warning("starting again from the stored state", reason=reason, seconds=wait)

    async def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            await asyncio.sleep(min(0.1, seconds))

    async def _live(self) -> None:
        """From fencing the last owner to a clean stop."""
        plan, began = self.plan, time.monotonic()
        identity = f"{plan.group}.{self.partition}" if plan.stage.transactional else None
        producer = new_producer(plan.settings, identity)
        reader = new_reader(plan.settings, patient=plan.stage.patient)
        try:
            await producer.start()  # of a transactional one: fences the last owner, aborts what it left open
            await reader.start()
            saved = await plan.store.load(plan.name, self.partition)
            observe = partial(self._metrics.observe, self.partition)
            worker = StageWorker(
                plan.stage, plan.layout, saved, plan.checks(self.partition), observe, plan.program
            )
            self._worker, self._ends = worker, dict(worker.outputs)
            if worker.handed_over is not None:
                self._log.warning(
                    "another version goes on", before=str(worker.handed_over), now=str(plan.program)
                )
            written = self._written(worker)
            first, ends = await ends_of(
                reader, (*written, *self._places.values())
            )  # an answer waits behind fetches
            if plan.stage.transactional:
                await follow(reader, worker, written, first, ends, plan.strike)
                self._ends = {topic.name: ends[place] for place, topic in written.items()}
            elif written:
                await check_handover(reader, worker, written, first, ends, plan.strike)
            await self._read_control(reader, worker, first, ends)
            self.inlet = self._new_inlet(reader)
            await self._work_on(producer, self.inlet, worker, began)
        finally:
            self._worker = self.inlet = None
            await self._saver.settle()
            await close(reader)
            await close(producer)

    def _written(self, worker: StageWorker) -> dict[TopicPartition, Topic]:
        """The stage's own topics, where what it had written matters before it goes on."""
        emits = (
            self.plan.stage.emits if self.plan.stage.transactional or worker.handed_over is not None else ()
        )
        topics = [t for t in emits if self.plan.stage.transactional or t is not DEAD_LETTERS]
        return {TopicPartition(self.plan.settings.topic(t), self.partition): t for t in topics}

    async def _read_control(
        self, reader: AIOKafkaConsumer, worker: StageWorker, first: Offsets, ends: Offsets
    ) -> None:
        """Seek every source to where the state ends; what people and this stage wrote is read to its end first."""
        positions = worker.positions
        at = {place: positions[self._topics[name].name] for name, place in self._places.items()}
        if any(at.values()):
            refuse_gaps(first, ends, at)
        at = {place: max(offset, first[place]) for place, offset in at.items()}
        for name, place in self._places.items():
            worker.begin_at(self._topics[name], at[place])
        reader.assign(tuple(at))
        for place, offset in at.items():
            reader.seek(place, offset)
        first_read = {CONTROL, MODELS, *self.plan.stage.emits}
        for name, place in self._places.items():
            while self._topics[name] in first_read and at[place] < ends[place]:
                for record in (await reader.getmany(place, timeout_ms=RECOVERY_MS)).get(place, ()):
                    worker.receive(
                        self._topics[name], record.offset, record.value or b"", record.timestamp * MS
                    )
                at[place] = await reader.position(place)

    async def _work_on(
        self, producer: AIOKafkaProducer, inlet: Inlet, worker: StageWorker, began: float
    ) -> None:
        """Read, step, send, save, until stopped."""
        plan, ready, saved = self.plan, False, time.monotonic()
        proposals = self._places.get(plan.settings.topic(PROPOSALS))
        closer = Closer(worker, inlet.reader, proposals)
        trainings, paused, moved = Trainings(plan.trainer), set[TopicPartition](), True
        while True:
            wait = closer.seconds_left(trainings.answer(worker, _IDLE_SECONDS))
            moved = await self._read(inlet, worker, wait) or moved
            plan.strike("read")
            await closer.close_due(worker.next_offset(PROPOSALS))
            stopping = self._stopping  # looked at once: the last turn of the loop stores what it did
            due = time.monotonic() - saved > plan.save_seconds or stopping
            if due and ready and not stopping and await self._caught_up(inlet):
                worker.give_up_early()  # before the step that tells of it, and the state that forgets it
            began_step = time.perf_counter()
            records = worker.step()
            trainings.begin(worker)
            self._metrics.stepped(self.partition, time.perf_counter() - began_step)
            plan.strike("step")
            if records:
                await self._send(producer, records)
                moved = True
            if not ready and await self._caught_up(inlet):
                ready, seconds = True, time.monotonic() - began
                self._metrics.recovered(self.partition, seconds)
                self._log.info("caught up", seconds=round(seconds, 3))
            names = worker.ahead()
            ahead = {place for name, place in self._places.items() if self._topics[name].name in names}
            if ahead != paused:
                inlet.throttle(ahead, paused)
                paused = ahead
            if due:
                if moved or stopping:  # an idle partition's state is stored already
                    moved = not await self._saver.save(lambda: worker.save(self._ends), last=stopping)
                await self._report(inlet, worker)
                saved = time.monotonic()
                if stopping:
                    return

    async def _read(self, inlet: Inlet, worker: StageWorker, wait: float) -> bool:
        """Take in what has come, waiting at most `wait` seconds; gives whether anything has."""
        if self._stopping:
            return False
        found = await inlet.read(wait, _MOST_RECORDS)
        for place, records in found.items():
            topic = self._topics[place.topic]
            for record in records:
                worker.receive(topic, record.offset, record.value or b"", record.received)
            self._metrics.received(topic.name, self.partition, len(records))
        return bool(found)

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
        """Write what a step gave; returns when all of it is acknowledged, of a transaction: committed."""
        began = time.perf_counter()
        if self.plan.stage.transactional:
            await producer.begin_transaction()
        waiting: list[tuple[Topic, int, asyncio.Future[RecordMetadata]]] = []
        for topic, raws in by_topic(records).items():
            name = self.plan.settings.topic(topic)
            for batch, count in batches(producer, raws):
                waiting.append(
                    (topic, count, await producer.send_batch(batch, name, partition=self.partition))
                )
                self.plan.strike("send")
        written = await asyncio.gather(*(future for _, _, future in waiting))
        for (topic, count, _), place in zip(waiting, written, strict=True):
            self._ends[topic.name] = place.offset + count
            self._metrics.sent(topic.name, count)
        if self.plan.stage.transactional:
            self.plan.strike("transaction")
            await producer.commit_transaction()
        self.plan.strike("commit")
        self._metrics.committed(self.partition, time.perf_counter() - began)

    async def _caught_up(self, inlet: Inlet) -> bool:
        return all([await inlet.behind(place) == 0 for place in self._places.values()])

    async def _report(self, inlet: Inlet, worker: StageWorker) -> None:
        """Tell how far behind the sources this is, and what was waited for longer than is usual."""
        now, stalled = time.monotonic(), worker.stalled()
        self._stalled = {
            book: (row, self._stalled[book][1] if self._stalled.get(book, (-1,))[0] == row else now)
            for book, (row, _) in stalled.items()
        }
        for book, (row, since) in self._stalled.items():
            if now - since > _LONG_SECONDS:
                topic = stalled[book].topics[0]
                self._metrics.waiting(self.partition, book, topic, now - since)
                self._log.warning("waiting", book=book, seq=row, topic=topic, seconds=round(now - since))
        for name, place in self._places.items():
            behind = await inlet.behind(place)
            if behind is not None:
                self._metrics.lag(self._topics[name].name, self.partition, behind)

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """Where each source is read up to, for those who look at the group's lag."""
        if self._worker is None:
            return {}
        positions = self._worker.positions
        return {place: positions[self._topics[name].name] for name, place in self._places.items()}
