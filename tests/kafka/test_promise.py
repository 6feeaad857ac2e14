"""The promise on a real broker: every stage is killed, and no order is lost, doubled or different."""

from pathlib import Path

import pytest

from chaos import short
from chaos.cluster import Cluster, table
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.runs.warmup import warm_up


@pytest.fixture
def cluster(settings: KafkaSettings, tmp_path: Path) -> Cluster:
    warm_up()  # once, so that four processes do not compile the same
    return Cluster(settings, tmp_path / "cluster")


def test_no_order_is_lost_or_doubled_or_different_when_every_stage_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    with cluster:
        verdict = short.run(cluster, tmp_path, seed=5, rows=4000)
    assert verdict.right, verdict
    assert (verdict.rows, verdict.orders > 500, verdict.fills > 500) == (4000, True, True)
    assert not cluster.deaths, cluster.deaths
    assert [kill.stage for kill in cluster.kills] == ["features", "proposals", "feedback", "ensemble"], table(
        cluster.kills
    )
