"""One broker for all tests that need a real Kafka, and a prefix of its own for each."""

import asyncio
import os
import shlex
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker import Broker, distribution
from installed import KAFKA, RIGHT, TRAIN, Installed, add, install

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings

_HOW_TO_GET_ONE = (
    "no Kafka: set KAFKA_BOOTSTRAP=HOST:PORT to a broker that may be written to, start a Docker engine, "
    "or unpack https://kafka.apache.org/downloads and set KAFKA_HOME to its folder"
)
_IMAGE = "confluentinc/cp-kafka:7.9.0"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever takes a broker is marked `kafka`. What takes longest begins first: the tests of the installed package,
    which share a process since it is installed once for all of them, first without extras; then those with a broker.
    """
    turns = {}
    for item in items:
        takes = set(getattr(item, "fixturenames", ()))
        with_broker, installed = bool({"kafka", "kafka_home"} & takes), "core" in takes
        if with_broker:
            item.add_marker(pytest.mark.kafka)
        if installed:
            item.add_marker(pytest.mark.xdist_group("installed"))
        turns[item] = (
            0 if installed and "with_kafka" not in takes else 1 if installed else 2 if with_broker else 3
        )
    items.sort(key=lambda item: turns[item])


def _none() -> None:
    """Skip; where CI says that there is one, fail."""
    if os.environ.get("WINDVANE_REQUIRE_KAFKA") == "1":
        pytest.fail(f"WINDVANE_REQUIRE_KAFKA is 1, but there is {_HOW_TO_GET_ONE}", pytrace=False)
    pytest.skip(_HOW_TO_GET_ONE)


def _docker_runs() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    return subprocess.run([docker, "info"], capture_output=True, timeout=20, check=False).returncode == 0


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a broker: KAFKA_BOOTSTRAP, a container where Docker runs, or a distribution started here."""
    named, home = os.environ.get("KAFKA_BOOTSTRAP"), distribution()
    if named:
        yield named
    elif _docker_runs():
        yield from _container()
    elif home is not None:
        broker = Broker(home, tmp_path_factory.mktemp("kafka"))
        broker.start()
        yield broker.bootstrap
        broker.stop()
    else:
        _none()


def _container() -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(_IMAGE).with_kraft()
    for name, value in (
        ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_HEAP_OPTS", "-Xmx512m"),
    ):
        container.with_env(name, value)
    with container:
        yield container.get_bootstrap_server()


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """A distribution, for tests that start, kill or configure a broker of their own."""
    home = distribution()
    if home is None:
        _none()
    assert home is not None
    return home


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    """The broker and a prefix that nobody has; there are no topics yet."""
    return KafkaSettings(
        bootstrap=kafka,
        prefix=f"test-{uuid.uuid4().hex[:12]}",
        control_key="the key of the tests, not a secret",
    )


@pytest.fixture
def topics(settings: KafkaSettings) -> KafkaSettings:
    """The same with all topics, four partitions each."""
    asyncio.run(layout.create(settings, partitions=4))
    return settings


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The wheel and what it requires; the folder is for anybody to enter, since the image's user must."""
    base = Path(tempfile.mkdtemp(prefix="windvane-"))
    base.chmod(0o755)
    (base / "work").mkdir()
    yield install(base, base / "work")
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def alone(core: Installed) -> dict[str, subprocess.CompletedProcess[str]]:
    """Every command with core requirements alone, before anything else is installed."""
    return {line: core.run(*shlex.split(line)) for line in RIGHT + KAFKA + TRAIN}


@pytest.fixture(scope="session")
def with_kafka(core: Installed, alone: object) -> Installed:
    add(core, "kafka")
    return core
