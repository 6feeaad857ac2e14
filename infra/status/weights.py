"""What the last decisions of one book say beside its summary: weights, target and regime."""

from collections.abc import Iterator

from aiokafka import TopicPartition

from windvane.infra.kafka.broker.clients import reading
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.tails import read_tails, spans
from windvane.metamodel.base.regimes import REGIMES
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import Decisions
from windvane.streams.topics import DECISIONS


async def last_decisions(settings: KafkaSettings, book: str, partition: int) -> list[str]:
    """Lines about the last decisions of a book; none where they lie too far before the end of the topic."""
    place = TopicPartition(settings.topic(DECISIONS), partition)
    async with reading(settings) as reader:
        tails = await read_tails(reader, await spans(reader, [place]), [])
    for tail in reversed(tails.get(place.topic, {}).get(book, [])):
        try:
            event = from_json(tail.raw)
        except WireError:
            continue
        if isinstance(event, Decisions):
            return list(_lines(event))
    return []


def _lines(rows: Decisions) -> Iterator[str]:
    heaviest = sorted(zip(rows.weights[-1].tolist(), rows.agents, strict=True), reverse=True)
    yield f"{'weights':<14}{', '.join(f'{agent} {weight:.2f}' for weight, agent in heaviest)}"
    yield f"{'target':<14}{float(rows.target[-1]):+.4f} of {float(rows.wanted[-1]):+.4f} wanted"
    if rows.regime is not None:
        yield f"{'regime':<14}{REGIMES[int(rows.regime[-1].argmax())]}"
