"""One stage on one partition of a real log: recovered first, it reads, steps, sends and saves until stopped.

To recover is to fence the last owner, to load the stored state, and to learn what was published after it. The offsets
in the stored state are the truth: where a write is not acknowledged, the state in memory is thrown away, and the
partition starts again from the stored one.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import IllegalOperation, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import RecordMetadata

from windvane.infra.kafka.broker.agent_keys import Signer
from windvane.infra.kafka.broker.batches import batches, by_topic, unsigned
from windvane.infra.kafka.broker.clients import close, connect, ends_of, new_producer, new_reader
from windvane.infra.kafka.worker.closing import Closer
from windvane.infra.kafka.worker.gaps import Gaps
from windvane.infra.kafka.worker.gathering import Gathering
from windvane.infra.kafka.worker.inlet import MS, Inlet
from windvane.infra.kafka.worker.pairing import Pairing
from windvane.infra.kafka.worker.plan import WorkerPlan
from windvane.infra.kafka.worker.recovery import (
    RECOVERY_MS,
    Offsets,
    check_handover,
    follow,
    refuse_gaps,
    refuse_lost,
)
from windvane.infra.kafka.worker.saver import Saver
from windvane.infra.kafka.worker.telling import Teller
from windvane.infra.kafka.worker.trainings import Trainings
from windvane.infra.kafka.worker.troubles import TroubleWatch
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.stage import StateError
from windvane.streams.topics import CONTROL, DEAD_LETTERS, MODELS, PROPOSALS, TICKS, Topic
from windvane.streams.worker import Record, StageWorker

_MOST_RECORDS = 2048
"""Records worked off in one step at most, so that no step takes so long that the group misses a heartbeat.

Their bytes are bounded by what one fetch may bring. Of many books that catch up, a step must hold several rows each.
"""

_IDLE_SECONDS = 0.25
_BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_FENCED_SECONDS = 3.0


class PartitionHost:
    """Runs a plan's stage on one partition, as a task of the event loop, from `start` until `stop`.

    inlet: makes what records are read from, of a started reader that is assigned and stands where the state ends;
    teller: tells people of the partition, None tells nobody; crowd: of `Gathering`, shared by a worker's partitions.
    """

    def __init__(
        self,
        plan: WorkerPlan,
        partition: int,
        metrics: WorkerMetrics,
        inlet: Callable[[AIOKafkaConsumer], Inlet] = Inlet,
        teller: Teller | None = None,
        crowd: dict[int, int] | None = None,
    ) -> None:
        self.plan = plan
        self.partition = partition
        self.inlet: Inlet | None = None
        self._new_inlet = inlet
        self._teller = teller
        self._crowd = crowd
        self._metrics = metrics
        self._log = logger(stage=plan.name, partition=partition)
        self._places = {t: TopicPartition(plan.settings.topic(t), partition) for t in plan.stage.reads}
        self._topics = {place: topic for topic, place in self._places.items()}
        self._worker: StageWorker | None = None
        self._ends: dict[str, int] = {}  # by topic, the offset after the last record that this stage wrote
        self._stopped: dict[str, str] = {}  # books that are left as they are stored, and why
        self.watch = TroubleWatch(partition, metrics, self._log)
        self._saver = Saver(plan, partition, metrics)
        self._closer: Closer | None = None
        self._signer = Signer(plan.settings)
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin, and return the task; it ends when the host is stopped, and raises StateError for what is not mended
        by starting again, and concerns more than one book: a book that cannot go on is stopped alone.
        """
        self._task = asyncio.create_task(self._run())
        return self._task

    async def stop(self) -> None:
        """Finish the step that is under way, store the state, and return when the task has ended."""
        self._stopping = True
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """Live again and again, with a pause behind each failure that another try can mend."""
        failures = 0
        while not self._stopping:
            began = time.monotonic()
            try:
                await self._live()
            except (ProducerFenced, InvalidProducerEpoch):
                self._restarting("another worker has taken this partition over", _FENCED_SECONDS)
                await self._pause(_FENCED_SECONDS)
            except StateError as error:
                if not error.book or error.book in self._stopped:
                    raise
                self._stopped[error.book] = str(error)
                self._restarting(f"book stopped: {error}", 0.0)
            except (
                KafkaError,
                IllegalOperation,
                OSError,
                TimeoutError,
            ) as error:  # the second is no KafkaError
                failures = 1 if time.monotonic() - began > 60 else failures + 1
                self.watch.restarting(f"{type(error).__name__}: {error}", failures)
                seconds = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS)) - 1]
                self._restarting(f"{type(error).__name__}: {error}", seconds)
                await self._pause(seconds)

    def _restarting(self, reason: str, seconds: float) -> None:
        self._metrics.restarted(self.partition, reason)
        self._log.warning("starting again from the stored state", reason=reason, seconds=seconds)

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until the host is stopped."""
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            await asyncio.sleep(min(0.1, seconds))

    async def _live(self) -> None:
        """Recover and work until the host is stopped; raises what the broker answers instead of an acknowledgement."""
        plan, began = self.plan, time.monotonic()
        identity = f"{plan.group}.{self.partition}" if plan.stage.transactional else None
        producer = new_producer(plan.settings, identity)
        reader = new_reader(plan.settings, patient=plan.stage.patient)
        try:
            await connect(producer)  # of a transactional one: fences the last owner, aborts what it left open
            await connect(reader)
            saved = await plan.store.load(plan.name, self.partition)
            observe = partial(self._metrics.observe, self.partition)
            checks = plan.checks(self.partition)
            worker = await asyncio.to_thread(  # to load many books takes longer than a heartbeat may be away
                StageWorker, plan.stage, plan.layout, saved, checks, observe, plan.program, self._stopped
            )
            del saved  # many books have hundreds of megabytes of it
            self._worker, self._ends = worker, dict(worker.outputs)
            if self._teller is not None:
                self._teller.begun(self.partition, worker)
            if worker.handed_over is not None:
                self._log.warning(
                    "another version goes on", before=str(worker.handed_over), now=str(plan.program)
                )
            written = self._written(worker)
            # The offsets are asked for at once: later on, an answer would wait behind fetches.
            first, ends = await ends_of(reader, (*written, *self._places.values()))
            refuse_lost(worker, first)
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
            if self._closer is not None:
                await self._closer.stop()
            await self._saver.settle()
            await close(reader)
            await close(producer)

    def _written(self, worker: StageWorker) -> dict[TopicPartition, Topic]:
        """Those of the stage's own topics that must be read before it goes on.

        A stage that writes in transactions must know what it had committed, so must one whose rows record choices of
        time, and any stage whose state another program stored. A dead letter is the same whoever writes it, and matters
        in transactions only.
        """
        stage = self.plan.stage
        must = stage.transactional or stage.records or worker.handed_over is not None
        emits = stage.emits if must else ()
        topics = [t for t in emits if stage.transactional or t is not DEAD_LETTERS]
        return {TopicPartition(self.plan.settings.topic(t), self.partition): t for t in topics}

    async def _read_control(
        self, reader: AIOKafkaConsumer, worker: StageWorker, first: Offsets, ends: Offsets
    ) -> None:
        """Let every source go on where the state ends, and read controls, models and what the stage itself wrote.

        Those are read to their ends before anything else, so that a control that is on its topic rules the very first
        row, and no row is worked off twice. Raises StateError where a log lacks what the state goes on from.
        """
        positions = worker.positions
        at = {place: positions[topic.name] for topic, place in self._places.items()}
        if any(at.values()):
            refuse_gaps(first, ends, at)
        at = {place: max(offset, first[place]) for place, offset in at.items()}
        for topic, place in self._places.items():
            worker.begin_at(topic, at[place])
        reader.assign(tuple(at))
        for place, offset in at.items():
            reader.seek(place, offset)
        first_read = {CONTROL, MODELS, *self.plan.stage.emits}
        for topic, place in self._places.items():
            while topic in first_read and at[place] < ends[place]:
                for record in (await reader.getmany(place, timeout_ms=RECOVERY_MS)).get(place, ()):
                    worker.receive(topic, record.offset, record.value or b"", record.timestamp * MS)
                at[place] = await reader.position(place)

    async def _work_on(
        self, producer: AIOKafkaProducer, inlet: Inlet, worker: StageWorker, began: float
    ) -> None:
        """Read, step, send and save until the host is stopped; the last turn stores the state.

        began: when the recovery began, monotonic seconds.
        """
        plan, ready, saved = self.plan, False, time.monotonic()
        told = saved  # when people were told of the books, which waits for no state
        gaps = Gaps(worker, inlet, self._places.get(TICKS))
        closer = self._closer = Closer(worker, inlet.reader, self._places.get(PROPOSALS))
        patient, crowd = plan.stage.patient, self._crowd
        gathering = Gathering(inlet.reader, self.partition, patient=patient, crowd=crowd)
        pairing = Pairing(plan.stage.reads)
        trainings, paused, moved = Trainings(plan.trainer), set[TopicPartition](), True
        while True:
            wait = closer.seconds_left(trainings.answer(worker, _IDLE_SECONDS))
            moved = await self._read(inlet, worker, wait, pairing) or moved
            plan.strike("read")
            await closer.close_due(worker.next_offset(PROPOSALS))
            await gaps.give_up_due()
            stopping = self._stopping  # read once, since it may change while this turn waits for the broker
            due = time.monotonic() - saved > self._saver.pause or stopping
            to_tell = time.monotonic() - told > plan.save_seconds or due
            if to_tell and ready and not stopping and await self._caught_up(inlet):
                worker.give_up_early()  # the step below writes the dead letters
            began_step = time.perf_counter()
            records = worker.step()
            gathering.note(worker.stepped, pairing.least_bytes(worker.stepped, worker.logic.waits_for))
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
            ahead = {place for topic, place in self._places.items() if topic.name in names}
            if ahead != paused:
                inlet.throttle(ahead, paused)
                paused = ahead
            if due:
                if moved or stopping:  # the state of a partition where nothing has moved is stored already
                    moved = not await self._saver.save(lambda: worker.begin_save(self._ends), last=stopping)
                else:
                    self._saver.idle()
                moved = moved or self._saver.trouble is not None
                saved = time.monotonic()
            if to_tell:
                await self._report(inlet, worker)
                told = time.monotonic()
            if stopping:
                return

    async def _read(self, inlet: Inlet, worker: StageWorker, wait: float, pairing: Pairing) -> bool:
        """Hand the worker what has come, waiting at most `wait` seconds for it; returns whether anything has."""
        if self._stopping:
            return False
        batches = await inlet.read(wait, _MOST_RECORDS)
        for place, records in batches.items():
            topic = self._topics[place]
            worker.receive_all(topic, records)
            pairing.received(topic, records)
            self._metrics.received(topic.name, self.partition, len(records))
        return bool(batches)

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
        """Write the records of a step; returns when all are acknowledged, and a transaction is committed."""
        began = time.perf_counter()
        if self.plan.stage.transactional:
            await producer.begin_transaction()
        waiting: list[tuple[Topic, int, asyncio.Future[RecordMetadata]]] = []
        for topic, raws in by_topic(records).items():
            name = self.plan.settings.topic(topic)
            headers = self._signer.headers if topic is PROPOSALS else unsigned
            for batch, count in batches(producer, raws, headers):
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
        """Report to metrics and logs how far behind its sources the partition is, and what is wrong with its books."""
        self.watch.look(worker, self._saver.trouble)
        for topic, place in self._places.items():
            behind = await inlet.behind(place)
            if behind is not None:
                self._metrics.lag(topic.name, self.partition, behind)
        if self._teller is not None:
            self._teller.tell(self.partition, worker, self.watch.troubles)

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The offset to read next of each source, for those who look at the group's lag; none between two lives."""
        if self._worker is None:
            return {}
        positions = self._worker.positions
        return {place: positions[topic.name] for topic, place in self._places.items()}
