"""Before a partition goes on: what was committed since the stored state, and whether the log still holds it."""

from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.worker.failpoints import Failpoint
from windvane.streams.stage import StateError
from windvane.streams.topics import Topic
from windvane.streams.worker import StageWorker

RECOVERY_MS = 50
"""A position also moves over markers of transactions, which wake nobody up: look again so often."""

Offsets = Mapping[TopicPartition, int]


async def follow(
    reader: AIOKafkaConsumer,
    worker: StageWorker,
    topics: Mapping[TopicPartition, Topic],
    first: Offsets,
    ends: Offsets,
    strike: Failpoint,
) -> None:
    """Tell the worker of a stage that writes in transactions what it had committed since the stored state."""
    at = {place: worker.outputs.get(topic.name, first[place]) for place, topic in topics.items()}
    refuse_gaps(first, ends, at)
    await _read(reader, worker.follow, topics, at, ends, strike)


async def check_handover(
    reader: AIOKafkaConsumer,
    worker: StageWorker,
    topics: Mapping[TopicPartition, Topic],
    first: Offsets,
    ends: Offsets,
    strike: Failpoint,
) -> None:
    """Raises StateError where another program stored the state and had published more than it knows.

    For the other stages, which need to know nothing else of what they wrote; what the log does not hold any more was
    published before.
    """
    at = {place: max(worker.outputs.get(t.name, 0), first[place]) for place, t in topics.items()}
    at = {place: min(offset, ends[place]) for place, offset in at.items()}
    await _read(reader, worker.refuse_unclean, topics, at, ends, strike)


async def _read(
    reader: AIOKafkaConsumer,
    tell: Callable[[Topic, bytes], None],
    topics: Mapping[TopicPartition, Topic],
    at: Offsets,
    ends: Offsets,
    strike: Failpoint,
) -> None:
    reader.assign(tuple(topics))
    for place, offset in at.items():
        reader.seek(place, offset)
    while any(at[place] < ends[place] for place in topics):
        strike("recovering")
        for place, records in (await reader.getmany(timeout_ms=RECOVERY_MS)).items():
            for record in records:
                if record.offset < ends[place]:
                    tell(topics[place], record.value or b"")
        at = {place: await reader.position(place) for place in topics}


def refuse_gaps(first: Offsets, ends: Offsets, at: Offsets) -> None:
    """Raises StateError where the log does not hold what the stored state goes on from."""
    for place, offset in at.items():
        if offset < first[place]:
            raise StateError(
                f"{place.topic} begins at offset {first[place]}, the stored state needs {offset}: "
                "it was kept too short for this worker's pause, so start new books"
            )
        if offset > ends[place]:
            raise StateError(
                f"{place.topic} ends at offset {ends[place]}, the stored state is at {offset}: "
                "the topic was made anew, so remove the stored states of its prefix"
            )
