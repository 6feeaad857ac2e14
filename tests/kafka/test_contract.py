"""The contract of runners on a real broker.

A log cannot be made to forget, so a Kafka runner cannot join RunnerContract, whose tests take a runner back to an
older state and feed it anew. The same is asked here over topics: several books at once, cut in several ways, some
left open at several rows, and all workers stopped, once even robbed of their states, in the midst of it.
"""

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import msgspec
import numpy as np
import pytest
from running import PARTITIONS, inside, put, records
from running import STAGES as USUAL

from contracted import RESULTS, batches, book, events_of, reference, until
from simulated_book import outputs, same
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import sign
from windvane.streams import topics
from windvane.streams.codec import cuts, to_json
from windvane.streams.events import (
    Batch,
    BookClosed,
    Control,
    DeadLetter,
    Event,
    LearnerUpdate,
    Model,
    Ticks,
    cut,
)
from windvane.streams.topics import CONTROL, DECISIONS, MODELS, TICKS, Topic

CUTS = (7, 50, 4096)
"""Rows of a record of the books that are sent whole."""

UPTO = (1, 513, 805, 1111)
"""Rows of the books that are left open."""

WHOLE = {f"whole-{rows}": rows for rows in CUTS}
OPEN = {f"open-{upto}": upto for upto in UPTO}
Lying = Mapping[str, Mapping[Topic, list[Event]]]


def sent(name: str) -> list[bytes]:
    """The records of a book after its opening, under this name."""
    found: list[Event] = []
    left = OPEN.get(name, 10**9)
    for event in batches(WHOLE.get(name, 64)):
        if isinstance(event, Ticks):
            found += [cut(event, 0, left)] if left > 0 else []
            left -= len(event)
        elif name in WHOLE:
            found.append(event)
    return [to_json(msgspec.structs.replace(p, book=name)) for event in found for p in cuts(event)]


STAGES = tuple(f"{stage},s=vol_trend" if stage.startswith("proposals:") else stage for stage in USUAL)
"""The stages, with the book's shadow among what is proposed."""


async def _run(settings: KafkaSettings, states: Path) -> Lying:
    events, orders = book()
    key, names = (settings.control_key or "").encode(), [*WHOLE, *OPEN]
    for name in names:
        mine = [msgspec.structs.replace(o, book=name) for o in orders]
        await put(settings, TICKS, [to_json(msgspec.structs.replace(events[0], book=name))], name)
        for topic, kind in ((MODELS, Model), (CONTROL, Control)):
            raws = [to_json(sign(o, key, settings.prefix)) for o in mine if isinstance(o, kind)]
            await put(settings, topic, raws, name)
    for third in range(3):
        async with inside(settings, states, STAGES) as stages:
            for name in names:
                raws = sent(name)
                edges = [len(raws) * k // 3 for k in range(4)]
                await put(settings, TICKS, raws[edges[third] : edges[third + 1]], name)
            if third == 2:
                await stages.until("all rows", lambda: _all_decided(settings), every=0.5)
        if third == 0:
            for stage in ("features", "ensemble"):
                shutil.rmtree(states / settings.prefix / stage)
    return {name: {topic: await _lying(settings, topic, name) for topic in topics.TOPICS} for name in names}


async def _all_decided(settings: KafkaSettings) -> bool:
    last = {
        name: max((e.last for _, e in reference() if isinstance(e, BookClosed)), default=0) for name in WHOLE
    }
    last |= {name: upto - 1 for name, upto in OPEN.items()}
    for name, row in last.items():
        rows = [e.last for e in await _lying(settings, DECISIONS, name) if isinstance(e, Batch)]
        if max(rows, default=-1) < row:
            return False
    for topic in (topics.STATEMENTS, topics.SHADOWS):
        ended = [await _lying(settings, topic, name) for name in WHOLE]
        wanted = sum(len(e) for t, e in reference() if t is topic and isinstance(e, Batch))
        if not all(sum(len(e) for e in found if isinstance(e, Batch)) == wanted for found in ended):
            return False
    return True


async def _lying(settings: KafkaSettings, topic: Topic, name: str) -> list[Event]:
    """What a book has on a topic, as readers take it: each row and each version once, under the name `book`."""
    raws = await records(settings, topic, partition_of(name, PARTITIONS))
    mine = [raw for raw in raws if f'"book":"{name}"'.encode() in raw]
    return list(_trimmed(events_of(topic, [raw.replace(name.encode(), b"book") for raw in mine])))


def _trimmed(events: list[Event]) -> Iterator[Event]:
    """What an at-least-once stage has sent twice is taken once; the same is never said in two ways."""
    done: dict[str, int] = {}
    once: set[bytes] = set()
    for event in events:
        if isinstance(event, Batch):
            kind = f"{type(event).__name__} {getattr(event, 'agents', '')}"
            at = int(np.searchsorted(event.seq, done.get(kind, -1), side="right"))
            if at < len(event):
                yield cut(event, at, len(event))
                done[kind] = event.last
        elif (raw := to_json(event)) not in once:
            once.add(raw)
            yield event


@pytest.fixture(scope="module")
def lying(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Lying:
    settings = KafkaSettings(
        bootstrap=kafka, prefix=f"test-{uuid4().hex[:12]}", control_key="the key of the tests, no secret"
    )
    asyncio.run(layout.create(settings, partitions=PARTITIONS))
    return asyncio.run(_run(settings, tmp_path_factory.mktemp("states")))


@pytest.mark.parametrize("name", WHOLE)
def test_neither_batches_nor_restarts_matter(name: str, lying: Lying) -> None:
    seen = [(topic, event) for topic, events in lying[name].items() for event in events]
    same(outputs(seen, *RESULTS), outputs(reference(), *RESULTS))


@pytest.mark.parametrize("name", WHOLE)
def test_every_row_has_exactly_one_row_everywhere(name: str, lying: Lying) -> None:
    (last,) = {e.last for _, e in reference() if isinstance(e, BookClosed)}
    for topic in (topics.FEATURES, topics.PROPOSALS, topics.DECISIONS):
        seqs = [e.seq for e in lying[name][topic] if isinstance(e, Batch)]
        assert np.array_equal(np.concatenate(seqs), np.arange(last + 1)), topic.name


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_emitted_lies_on_the_topic_that_carries_it(name: str, lying: Lying) -> None:
    assert {topic for topic, events in lying[name].items() if events} == set(topics.TOPICS)
    assert all(type(event) in topic.carries for topic, events in lying[name].items() for event in events)


@pytest.mark.parametrize("name", OPEN)
def test_the_future_changes_no_past_decision(name: str, lying: Lying) -> None:
    kinds = (topics.FEATURES, topics.PROPOSALS, topics.DECISIONS, topics.ORDERS, topics.FILLS)
    past = [
        (topic, until(event, OPEN[name] - 1))
        for topic, event in reference()
        if isinstance(event, Batch) and event.first < OPEN[name]
    ]
    past = [(topic, event) for topic, event in past if isinstance(event, Batch) and len(event)]
    got = [(t, e) for t, events in lying[name].items() for e in events if isinstance(e, Batch)]
    same(outputs(got, *kinds), outputs(past, *kinds))


def test_dead_letters_and_learner_versions_are_told_by_one_stage_each(lying: Lying) -> None:
    for name in WHOLE:
        assert all(isinstance(e, DeadLetter) for e in lying[name][topics.DEAD_LETTERS])
        versions = [e.version for e in lying[name][topics.LEARNER] if isinstance(e, LearnerUpdate)]
        assert versions == list(range(1, len(versions) + 1))
