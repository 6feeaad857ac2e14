"""Before a partition goes on: read what was committed since the stored state, and check that the log still holds it."""

from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from windvane.infra.kafka.worker.failpoints import Failpoint
from windvane.streams.stage import StateError
from windvane.streams.topics import Topic
from windvane.streams.worker import StageWorker

RECOVERY_MS = 50
"""So often a position is looked at: it also moves over markers of transactions, which end no wait for records."""

Offsets = Mapping[TopicPartition, int]


async def follow(
    reader: AIOKafkaConsumer,
    worker: StageWorker,
    topics: Mapping[TopicPartition, Topic],
    first: Offsets,
    ends: Offsets,
    strike: Failpoint,
) -> None:
    """Read to a worker that writes in transactions the records that it had committed since its state was stored.

    topics: by place, those that it writes; first and ends: offsets of each place, looked up after the last owner was
    fenced; strike: a failpoint. Raises StateError where the log lacks what the state goes on from.
    """
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
    """Raises StateError where another program stored the state, and had published rows that the state does not know.

    Called for the stages that write without transactions, which need to know nothing else of what they wrote but the
    choices of time in it. Records that the log does not hold any more were published before the state was stored.
    """
    at = {place: max(worker.outputs.get(t.name, 0), first[place]) for place, t in topics.items()}
    at = {place: min(offset, ends[place]) for place, offset in at.items()}
    await _read(reader, worker.follow, topics, at, ends, strike)


async def _read(
    reader: AIOKafkaConsumer,
    receive: Callable[[Topic, bytes], None],
    topics: Mapping[TopicPartition, Topic],
    at: Offsets,
    ends: Offsets,
    strike: Failpoint,
) -> None:
    """Hand on every record from the offsets `at` to the ends."""
    reader.assign(tuple(topics))
    for place, offset in at.items():
        reader.seek(place, offset)
    while any(at[place] < ends[place] for place in topics):
        strike("recovering")
        for place, records in (await reader.getmany(timeout_ms=RECOVERY_MS)).items():
            for record in records:
                if record.offset < ends[place]:
                    receive(topics[place], record.value or b"")
        at = {place: await reader.position(place) for place in topics}


def refuse_lost(worker: StageWorker, first: Offsets) -> None:
    """Raises StateError, with the book, where a book was stopped for longer than what it goes on from is kept.

    first: offsets of all places that the stage reads or writes, as far as they were looked up.
    """
    begins = {place.topic.rpartition(".")[2]: offset for place, offset in first.items()}
    book = worker.lost(begins)
    if book:
        raise StateError(
            f"it was stopped for longer than its topics are kept, so start a book of another name instead of {book}",
            book,
        )


def refuse_gaps(first: Offsets, ends: Offsets, at: Offsets) -> None:
    """Raises StateError where a log begins after the offset that the stored state goes on from, or ends before it."""
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
