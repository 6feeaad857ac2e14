"""A TroubleWatch on a worker without a broker: what lasts becomes a trouble, and what is over is one no more."""

import json

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from simulated_book import config, opening, ticks, without
from windvane.infra.kafka.worker.troubles import LONG_SECONDS, TroubleWatch
from windvane.infra.telemetry.logs import logger
from windvane.infra.telemetry.metrics import WorkerMetrics
from windvane.streams.codec import to_json
from windvane.streams.events import Ticks, cut
from windvane.streams.topics import TICKS
from windvane.streams.topology import TOPOLOGY
from windvane.streams.troubles import Trouble
from windvane.streams.worker import StageWorker

FULL = Trouble("not_stored", "the disk is full")


class Watched:
    """A worker of the features with one lockstep book, a watch on it, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.metrics = WorkerMetrics("features", CollectorRegistry())
        self.worker = StageWorker(TOPOLOGY[0], "here")
        self.watch = TroubleWatch(3, self.metrics, logger(stage="features"), lambda: self.now)
        self._offset = 0
        self.receive(to_json(opening(config())))

    def receive(self, *raws: bytes) -> None:
        for raw in raws:
            self.worker.receive(TICKS, self._offset, raw)
            self._offset += 1
        self.worker.step()

    def rows(self, *batches: Ticks) -> None:
        self.receive(*map(to_json, batches))

    def look(self, after: float, whole: Trouble | None = None) -> dict[str, str]:
        self.now += after
        self.watch.look(self.worker, whole)
        return {book: trouble.code for book, trouble in self.watch.troubles.items()}

    def told(self, code: str) -> float | None:
        labels = {"stage": "features", "partition": "3", "code": code}
        return self.metrics.registry.get_sample_value("windvane_trouble", labels)


def test_what_lasts_is_a_trouble_after_its_time_and_over_when_it_goes_on(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDVANE_LOGS", "json")
    watched, whole = Watched(), ticks(60)
    watched.rows(*without(whole, [20, 40]))
    assert watched.look(0.0) == watched.look(LONG_SECONDS) == {}
    assert watched.look(0.1) == {"book": "hole"}
    assert watched.told("hole") == 1
    wait = {"stage": "features", "partition": "3", "book": "book", "topic": "ticks"}
    assert watched.metrics.registry.get_sample_value("windvane_waiting_seconds", wait) == pytest.approx(10.1)
    watched.rows(cut(whole, 20, 21))
    assert watched.look(0.1) == watched.look(LONG_SECONDS) == {}, "the next row is waited for anew"
    assert watched.told("hole") is None
    assert watched.look(0.1) == {"book": "hole"}
    said = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [(line["event"], line["book"], line["code"]) for line in said if "trouble" in line["event"]]
    assert told == [
        ("trouble", "book", "hole"),
        ("trouble over", "book", "hole"),
        ("trouble", "book", "hole"),
    ]


def test_a_refused_feed_is_a_trouble_until_it_is_quiet_for_a_while() -> None:
    watched, whole = Watched(), ticks(60)
    watched.rows(whole, msgspec.structs.replace(whole, ts=whole.ts + 10**14))
    assert watched.look(1.0) == {"book": "feed_restarted"}
    assert watched.look(29.0) == {"book": "feed_restarted"}
    assert watched.look(29.0) == {"book": "feed_restarted"}
    assert watched.look(1.0) == {}


def test_what_is_wrong_with_the_whole_partition_stands_beside_its_books() -> None:
    watched = Watched()
    watched.rows(*without(ticks(60), [20]))
    watched.look(0.0)
    assert watched.look(11.0, FULL) == {"book": "hole", "": "not_stored"}
    assert (watched.told("hole"), watched.told("not_stored")) == (1, 1)
    assert watched.look(1.0) == {"book": "hole"}
    watched.metrics.released(3)
    assert watched.told("hole") is None


def test_a_partition_that_begins_anew_again_and_again_is_a_trouble() -> None:
    watched = Watched()
    for times in (1, 2):
        watched.watch.restarting("KafkaError: away", times)
        assert watched.watch.troubles == {}
    watched.watch.restarting("KafkaError: away", 3)
    assert "begins anew again and again: KafkaError: away" in watched.watch.troubles[""].text
    assert watched.look(1.0) == {}
