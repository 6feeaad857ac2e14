"""/health says what a worker knows, metrics find a port, and a restored book has its gauges without a row."""

import asyncio
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from windvane.infra.telemetry import health as states
from windvane.infra.telemetry.health import Health
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.infra.telemetry.web import FIRST_PORTS, PortError, listener, serving
from windvane.streams.summaries import STATES_TOLD, BookSummary, Trading
from windvane.streams.topology import TOPOLOGY

LOOPBACK = "127.0.0.1"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as link:
        link.bind((LOOPBACK, 0))
        link.listen()
        yield link.getsockname()[1]


def asked(metrics: WorkerMetrics, path: str = "/health") -> tuple[int, Any]:
    """Status and JSON of a page."""

    def page() -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(f"http://{metrics.health.listens}{path}", timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    async def run() -> tuple[int, Any]:
        with socket.socket() as link:
            link.bind((LOOPBACK, 0))
            link.listen()
            async with serving(metrics, link):
                return await asyncio.to_thread(page)

    return asyncio.run(run())


class TestHealth:
    def test_a_worker_is_well_once_every_partition_has_caught_up(self) -> None:
        metrics = WorkerMetrics("features")
        assert asked(metrics)[0] == 503
        metrics.health.assigned((0, 2))
        status, told = asked(metrics)
        assert (status, told["well"]) == (503, False)
        assert told["text"].startswith("partition 0 recovering for 0 s; partition 2 recovering for")
        for partition in (0, 2):
            metrics.recovered(partition, 1.0)
        metrics.lag("ticks", 0, 12)
        metrics.committed(2, 0.01)
        status, told = asked(metrics)
        assert (status, told["text"], told["stage"]) == (200, "caught up", "features")
        assert [(p["partition"], p["caught_up"], p["lag"]) for p in told["partitions"]] == [
            (0, True, {"ticks": 12}),
            (2, True, {}),
        ]
        assert told["partitions"][0]["commit_age"] is None
        assert 0 <= told["partitions"][1]["commit_age"] < 5

    def test_one_that_begins_anew_or_does_not_move_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        metrics = WorkerMetrics("features")
        metrics.health.assigned((0,))
        metrics.recovered(0, 1.0)
        metrics.restarted(0, "KafkaError: x")
        assert metrics.health.report()[1]["text"].startswith("partition 0 restarting for")
        metrics.recovered(0, 1.0)
        assert metrics.health.report()[0]
        at = time.monotonic() + states.STUCK_SECONDS + 1
        monkeypatch.setattr(states.time, "monotonic", lambda: at)
        well, told = metrics.health.report()
        assert (well, told["text"]) == (False, "partition 0 has not moved for 31 s")
        metrics.stepped(0, 0.1)
        assert metrics.health.report()[0]

    def test_a_spare_is_well_and_says_so(self) -> None:
        health = Health("features")
        health.assigned(())
        health.spare = "no partition assigned: the topics have 3"
        assert health.report()[0]
        assert health.report()[1]["text"] == "no partition assigned: the topics have 3"
        assert health.report()[1]["partitions"] == []

    def test_a_partition_that_went_is_forgotten(self) -> None:
        metrics = WorkerMetrics("features")
        metrics.health.assigned((0,))
        metrics.released(0)
        assert metrics.health.partitions == {}


class TestPorts:
    def test_every_stage_has_its_own(self) -> None:
        assert set(FIRST_PORTS) == {stage.name for stage in TOPOLOGY}
        assert len(set(FIRST_PORTS.values())) == len(FIRST_PORTS)

    def test_the_next_free_one_where_none_is_named(
        self, taken: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(FIRST_PORTS, "features", taken)
        with listener("features", LOOPBACK, None) as link:
            assert link.getsockname()[1] > taken
            with listener("features", LOOPBACK, None) as another:
                assert another.getsockname()[1] > link.getsockname()[1]
        assert "port in use, the next free one serves metrics" in capfd.readouterr().err

    def test_one_that_is_named_and_in_use_is_refused(self, taken: int) -> None:
        with pytest.raises(
            PortError, match=rf"on {LOOPBACK}:{taken} \(address already in use\): give another"
        ):
            listener("features", LOOPBACK, taken)

    def test_an_address_of_another_machine_is_refused(self) -> None:
        with pytest.raises(PortError, match=r"cannot be served on 192\.0\.2\.1:6066 \("):
            listener("features", "192.0.2.1", None)


class TestRestored:
    @pytest.mark.parametrize("state", STATES_TOLD)
    def test_silence_and_halts_are_seen_without_a_row(self, state: str) -> None:
        metrics = WorkerMetrics("ensemble")
        trading = Trading(state, 1, "halt", 5, 2, "", 0.5, 99.0, -1.0)
        metrics.restored(1, BookSummary("a", "k", 7, 7, 2_000_000_000, trading=trading), 1234.0)
        want = {
            "windvane_last_output_seconds": 1234.0,
            "windvane_last_seq": 6,
            "windvane_last_event_seconds": 2.0,
            "windvane_risk_state": {"active": 0, "reduce-only": 1}.get(state, 2),
            "windvane_equity": 99.0,
            "windvane_position": 0.5,
            "windvane_learner_version": 2,
        }
        assert {name: value(metrics, name) for name in want} == want
        metrics.released(1)
        assert all(value(metrics, name) is None for name in want)


def value(metrics: WorkerMetrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"stage": "ensemble", "book": "a"})
