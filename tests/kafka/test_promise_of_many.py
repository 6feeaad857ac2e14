"""The promise for many books at once: every stage is killed, and people control some of them meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from running import records

from chaos import fleet
from chaos.cluster import STAGES, Cluster, table
from chaos.compare import Verdict, outputs_of
from chaos.fleet_books import FleetBook, fleet_of
from chaos.fleet_verdict import judged
from chaos.timed import TOPICS
from simulated_book import plain_run
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.runs.warmup import warm_up
from windvane.streams.codec import to_json
from windvane.streams.control_log import CLOSED, unapplied
from windvane.streams.events import BookClosed, Control, Event, Fills, Orders, cut
from windvane.streams.records import fill_lines, order_lines
from windvane.streams.topics import DEAD_LETTERS, DECISIONS, FILLS, ORDERS, STATEMENTS, Topic

BOOKS, ROWS = 200, 600


@pytest.fixture
def cluster(settings: KafkaSettings, tmp_path: Path) -> Cluster:
    warm_up()  # once, so that four processes do not compile the same
    return Cluster(settings, tmp_path / "cluster", partitions=fleet.PARTITIONS)


def test_no_order_of_many_books_is_lost_or_doubled_or_different_when_every_stage_is_killed(
    cluster: Cluster,
) -> None:
    with cluster:
        verdicts = fleet.run(cluster, None, seed=3, books=BOOKS, rate=100.0, rounds=1)
    assert all(verdict.right for verdict in verdicts), verdicts
    assert [(v.book, v.orders > 50, v.fills > 50) for v in verdicts] == [
        ("90 lockstep", True, True),
        ("10 lockstep, controlled", True, True),
        ("90 timed", True, True),
        ("10 timed, controlled", True, True),
    ]
    assert not cluster.deaths, cluster.deaths
    refused = asyncio.run(records(cluster.settings, DEAD_LETTERS))
    assert not [raw for raw in refused if b"(swap" in raw], (
        refused
    )  # other controls may come after the last row
    assert {kill.stage for kill in cluster.kills} == set(STAGES), table(cluster.kills)


def lines(event: Event) -> list[bytes]:
    """The records of an event."""
    if isinstance(event, Orders):
        return [raw for _, raw in order_lines(event, "BTCUSD")]
    if isinstance(event, Fills):
        return [raw for _, raw in fill_lines(event, "BTCUSD")]
    return [to_json(event)]


def on_topics(book: FleetBook, controls: Sequence[Control]) -> dict[Topic, list[bytes]]:
    """What lies on the topics once a book of `ROWS` rows has passed all stages."""
    raws: dict[Topic, list[bytes]] = {topic: [] for topic in (*TOPICS, DEAD_LETTERS)}
    end = BookClosed(book=book.name, last=ROWS - 1)
    for topic, event in plain_run([book.opened, cut(book.market, 0, ROWS), end], controls, wire=True):
        raws.setdefault(topic, []).extend(lines(event))
    return raws


class Found(NamedTuple):
    """A book, what lies on the topics of it, and the controls that were sent to it."""

    book: FleetBook
    raws: Mapping[Topic, list[bytes]]
    sent: list[Control]

    def verdict(
        self,
        changed: Mapping[Topic, list[bytes]] | None = None,
        rows: int = ROWS,
        more: Sequence[Control] = (),
    ) -> Verdict:
        """The comparison where topics hold other records, and where more rows and controls were sent."""
        raws = {**self.raws, **(changed or {})}
        return judged(self.book, raws, outputs_of(raws), rows, [*self.sent, *more])


@pytest.fixture(scope="module", params=["lockstep", "lockstep, controlled", "timed"])
def found(request: pytest.FixtureRequest) -> Found:
    book = fleet_of(2, seed=1)[request.param == "timed"]
    control = Control(book=book.name, number=1, action="reduce-only", effective_from=570)
    sent = [control] if "controlled" in request.param else []
    return Found(book, on_topics(book, sent), sent)


def test_a_book_that_is_whole_is_right(found: Found) -> None:
    verdict = found.verdict()
    assert verdict.right, verdict
    assert (verdict.rows, verdict.fills > 10) == (ROWS, True)


@pytest.mark.parametrize("topic", [ORDERS, FILLS, DECISIONS, STATEMENTS], ids=lambda topic: topic.name)
def test_a_record_that_is_lost_doubled_or_moved_is_noticed(found: Found, topic: Topic) -> None:
    raws = found.raws[topic]
    for changed in (raws[:-1], raws[1:], [*raws, raws[-1]], raws[::-1] if len(raws) > 1 else []):
        assert not found.verdict({topic: changed}).right, len(changed)


def test_rows_that_were_sent_and_are_nowhere_are_noticed(found: Found) -> None:
    assert found.verdict(rows=ROWS + 1).words


def test_a_control_that_nobody_answers_is_noticed_and_a_refusal_is_an_answer(found: Found) -> None:
    control = Control(book=found.book.name, number=7, action="halt", effective_from=0)
    assert found.verdict(more=[control]).words == "control 7 (halt) is neither obeyed nor refused"
    refused = {DEAD_LETTERS: [to_json(unapplied(control, CLOSED))]}
    assert found.verdict(refused, more=[control]).right
