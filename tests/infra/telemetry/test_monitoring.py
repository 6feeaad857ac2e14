"""What a worker tells of itself: metrics that agree with the events it sent."""

import time
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from simulated_book import config, opening, spoil, ticks
from windvane.infra.telemetry import metrics
from windvane.infra.telemetry.books import verdict_counts
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.names import METRICS, REASON_CLASSES, reason_class
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.trading.risk import GATES
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import (
    BookClosed,
    DeadLetter,
    Decisions,
    Event,
    Features,
    Fills,
    LearnerUpdate,
    Orders,
    cut,
)

ROWS = 1500


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Everything that a book with bad rows gives."""
    heard: list[Event] = []
    EmbeddedRunner(listener=lambda topic, event: heard.append(event)).feed(
        [opening(config()), spoil(ticks(ROWS)), BookClosed(book="book", last=ROWS - 1)]
    )
    return heard


@pytest.fixture
def told() -> WorkerMetrics:
    return WorkerMetrics("ensemble", CollectorRegistry())


def value(told: WorkerMetrics, name: str, **labels: str) -> float | None:
    return told.registry.get_sample_value(name, {"stage": "ensemble", **labels})


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    found = [event for event in events if isinstance(event, kind)]
    assert found
    return found


def observe(told: WorkerMetrics, events: list[Event]) -> None:
    for event in events:
        told.observe(0, event)


class TestLatency:
    def test_latency_is_of_live_ticks_only(self, told: WorkerMetrics, events: list[Event]) -> None:
        history = of(events, Orders)[0]
        told.observe(0, history)
        name = "windvane_order_latency_seconds"
        assert value(told, f"{name}_count", book="book") == 0
        live = msgspec.structs.replace(history, ts=np.full(len(history), time.time_ns() - 30_000_000))
        told.observe(0, live)
        assert value(told, f"{name}_count", book="book") == len(history)
        total = value(told, f"{name}_sum", book="book")
        assert total is not None
        assert 0.03 <= total / len(history) < 5


class TestCounters:
    def test_sums_do_not_depend_on_how_rows_are_cut(self, events: list[Event]) -> None:
        def sums(pieces: int) -> dict[str, float]:
            one = WorkerMetrics("ensemble", CollectorRegistry())
            for event in of(events, Decisions) + of(events, Features):
                for start in range(0, len(event), pieces):
                    one.observe(0, cut(event, start, start + pieces))
            families = text_string_to_metric_families(one.expose().decode())
            return {
                f"{s.name}{sorted(s.labels.items())}": s.value
                for f in families
                for s in f.samples
                if not s.name.endswith("last_output_seconds")
            }

        whole = sums(10_000)
        assert whole == sums(1) == sums(97)
        assert whole["windvane_rows_total[('book', 'book'), ('stage', 'ensemble')]"] == 2 * ROWS

    def test_verdicts_and_drawdown_agree_with_a_plain_count(
        self, told: WorkerMetrics, events: list[Event]
    ) -> None:
        decisions = of(events, Decisions)
        observe(told, decisions)
        verdicts = np.concatenate([d.verdicts for d in decisions])
        equity = np.concatenate([d.equity for d in decisions])
        for bit, gate in enumerate(GATES):
            count = sum(1 for v in verdicts.tolist() if v >> bit & 1)
            assert (value(told, "windvane_verdicts_total", book="book", gate=gate) or 0) == count
        assert verdicts.any()
        expected = 1 - equity[-1] / equity.max()
        assert value(told, "windvane_drawdown_ratio", book="book") == pytest.approx(expected, abs=1e-12)

    def test_every_bit_of_a_verdict_has_its_gate(self) -> None:
        one_each = np.left_shift(1, np.arange(len(GATES)))
        assert verdict_counts(one_each) == [(gate, 1) for gate in GATES]
        assert verdict_counts(np.zeros(3, np.int64)) == []

    def test_flagged_rows_are_counted_by_flag(self, told: WorkerMetrics, events: list[Event]) -> None:
        features = of(events, Features)
        observe(told, features)
        flags = np.concatenate([f.flags for f in features])
        counts = {}
        for flag, bit in (("heartbeat", 1), ("bad", 2), ("gap", 4)):
            counts[flag] = int(np.count_nonzero(flags & bit))
            assert value(told, "windvane_flagged_rows_total", book="book", flag=flag) == counts[flag]
        assert counts["heartbeat"] > 0
        assert counts["bad"] > 0

    def test_orders_fills_and_versions_are_counted(self, told: WorkerMetrics, events: list[Event]) -> None:
        observe(told, of(events, Orders) + of(events, Fills) + of(events, LearnerUpdate))
        fills = of(events, Fills)
        assert value(told, "windvane_orders_total", book="book") == sum(map(len, of(events, Orders)))
        assert value(told, "windvane_fills_total", book="book") == sum(int((f.qty != 0).sum()) for f in fills)
        assert value(told, "windvane_fees_total", book="book") == pytest.approx(
            sum(f.fee.sum() for f in fills)
        )
        updates = of(events, LearnerUpdate)
        assert value(told, "windvane_retrainings_total", book="book", outcome="kept") == len(updates)

    def test_rounds_without_an_agent_are_counted(self, told: WorkerMetrics, events: list[Event]) -> None:
        rows = cut(of(events, Decisions)[-1], 0, 3)
        names = rows.agents
        told.observe(0, rows)
        assert value(told, "windvane_rounds_late_total", book="book") is None, "a lockstep book waits for all"
        awake = np.ones((3, len(names)), np.int64)
        awake[1:, 0] = awake[2, 1] = 0
        told.observe(0, msgspec.structs.replace(rows, awake=awake))
        assert value(told, "windvane_rounds_late_total", book="book") == 2
        late = [value(told, "windvane_agent_late_total", book="book", agent=name) for name in names]
        assert late == [2, 1, *(0 for _ in names[2:])]

    def test_dead_letters_are_classed(self, told: WorkerMetrics, events: list[Event]) -> None:
        letters = of(events, DeadLetter)
        observe(told, letters)
        bad, off = (
            value(told, "windvane_dead_letters_total", reason=r) or 0 for r in ("bad_row", "off_level")
        )
        assert off == sum("level" in e.reason or "factor of 2" in e.reason for e in letters) > 0
        assert bad + off == len(letters)
        assert value(told, "windvane_dead_letters_total", reason="unsigned") == 0
        assert {reason_class(letter.reason) for letter in letters} <= set(REASON_CLASSES)
        assert reason_class("a sentence of tomorrow") == "other"


class TestGauges:
    def test_gauges_are_the_last_row_of_the_last_decision(
        self, told: WorkerMetrics, events: list[Event]
    ) -> None:
        decisions = of(events, Decisions)
        observe(told, decisions)
        last = decisions[-1]
        assert value(told, "windvane_last_seq", book="book") == last.last == ROWS - 1
        assert value(told, "windvane_equity", book="book") == last.equity[-1]
        assert value(told, "windvane_position", book="book") == last.position[-1]
        assert value(told, "windvane_target", book="book") == last.target[-1]
        assert value(told, "windvane_wanted", book="book") == last.wanted[-1]
        assert value(told, "windvane_risk_state", book="book") == last.state[-1]
        assert value(told, "windvane_learner_version", book="book") == last.learner[-1] > 0
        for k, agent in enumerate(last.agents):
            assert value(told, "windvane_agent_weight", book="book", agent=agent) == last.weights[-1, k]
        for k, member in enumerate(MEMBERS):
            assert value(told, "windvane_member_weight", book="book", member=member) == last.members[-1, k]

    def test_a_closed_book_is_not_silent_and_a_partition_given_away_not_ours(
        self, told: WorkerMetrics, events: list[Event]
    ) -> None:
        observe(told, of(events, Features))
        assert value(told, "windvane_last_output_seconds", book="book") is not None
        told.observe(0, BookClosed(book="book", last=ROWS - 1))
        assert value(told, "windvane_last_output_seconds", book="book") is None
        told.lag("ticks", 0, 5)
        told.lag("ticks", 1, 7)
        told.waiting(0, "book", "ticks", 12.0)
        told.released(0)
        assert value(told, "windvane_last_seq", book="book") is None
        assert value(told, "windvane_waiting_seconds", partition="0", book="book", topic="ticks") is None
        assert value(told, "windvane_lag_records", topic="ticks", partition="0") is None
        assert value(told, "windvane_lag_records", topic="ticks", partition="1") == 7
        assert value(told, "windvane_rows_total", book="book") == ROWS
        observe(told, of(events, Features))
        assert value(told, "windvane_last_seq", book="book") == ROWS - 1

    def test_a_wait_that_is_not_told_again_is_over(
        self, told: WorkerMetrics, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        labels = {"partition": "2", "book": "book", "topic": "proposals"}
        told.waiting(2, "book", "proposals", 11.0)
        told.expose()
        assert value(told, "windvane_waiting_seconds", **labels) == 11
        monkeypatch.setattr(metrics, "FORGET_SECONDS", -1.0)
        told.expose()
        assert value(told, "windvane_waiting_seconds", **labels) is None

    def test_what_the_binding_tells_is_exposed(self, told: WorkerMetrics) -> None:
        told.received("features", 3, 5)
        told.stepped(3, 0.002)
        told.sent("decisions", 4)
        told.committed(3, 0.02)
        told.recovered(3, 1.5)
        told.restarted(3, "KafkaConnectionError: Connection at 10.0.0.1:9092 closed")
        told.restarted(3, "another worker has taken this partition over")
        told.saved(3, 0.01, 2048)
        text = told.expose().decode()
        for line in (
            'windvane_records_received_total{partition="3",stage="ensemble",topic="features"} 5.0',
            'windvane_records_sent_total{stage="ensemble",topic="decisions"} 4.0',
            'windvane_commit_seconds_bucket{le="0.025",partition="3",stage="ensemble"} 1.0',
            'windvane_recovery_seconds{partition="3",stage="ensemble"} 1.5',
            'windvane_restarts_total{partition="3",reason="KafkaConnectionError",stage="ensemble"} 1.0',
            'windvane_restarts_total{partition="3",reason="fenced",stage="ensemble"} 1.0',
            'windvane_snapshot_bytes{partition="3",stage="ensemble"} 2048.0',
        ):
            assert line in text


class TestNames:
    def test_names_are_of_one_form(self) -> None:
        for name, metric in METRICS.items():
            assert name.startswith("windvane_")
            assert name.endswith("_total") == (metric.kind == "counter")
            assert set(metric.labels) <= {
                "partition", "topic", "book", "agent", "gate", "member", "regime", "flag",
                "reason", "outcome", "version", "code",
            }  # fmt: skip
