"""Logins and rights on a broker that asks for them: what docs/kafka.md grants is enough, and nothing more."""

import asyncio
import os
import re
import subprocess
from asyncio import run
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError
from broker import ROOT, Broker

from simulated_book import config, opening
from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, partition_of, reachable
from windvane.infra.kafka.tools.controls import new_control, send_control
from windvane.infra.kafka.tools.outcomes import outcome
from windvane.streams.codec import to_json
from windvane.streams.topics import DEAD_LETTERS
from windvane.streams.topology import TOPOLOGY

PAGE = (ROOT / "docs" / "kafka.md").read_text(encoding="utf-8")
USERS = ("admin", "ensemble", "subscriber", "people", "operator")


@pytest.fixture(scope="module")
def guarded(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker with SASL and an authorizer that would make topics that are asked for."""
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    users = " ".join(f'user_{name}="of-{name}"' for name in USERS)
    extra = {
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f'{login} username="admin" password="of-admin" {users};',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS",
        "auto.create.topics.enable": "true",
    }
    folder = tmp_path_factory.mktemp("guarded")
    broker = Broker(kafka_home, folder, extra, protocol="SASL_PLAINTEXT")
    broker.start()
    (folder / "admin.properties").write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        f'sasl.jaas.config={login} username="admin" password="of-admin";\n'
    )
    yield broker
    broker.stop()


def login(broker: Broker, user: str, prefix: str = "p") -> KafkaSettings:
    return KafkaSettings(
        bootstrap=broker.bootstrap,
        prefix=prefix,
        security_protocol="SASL_PLAINTEXT",
        username=user,
        password=f"of-{user}",
    )


def grant(broker: Broker, home: Path, prefix: str, *users: str) -> None:
    """Run what the page says for some of the users."""
    block = re.search(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    helpers = [line for line in lines if "() {" in line]
    chosen = [line for line in lines if line.split(" ")[1:2] and line.split(" ")[1] in users]
    assert len(chosen) >= 2 * len(users)
    environ = {
        **os.environ,
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "BROKER": broker.bootstrap,
        "ADMIN": str(broker.log.parent / "admin.properties"),
        "PREFIX": prefix,
    }
    script = "\n".join(["set -eu", *helpers, *chosen])
    subprocess.run(["/bin/bash", "-c", script], env=environ, check=True, capture_output=True, timeout=300)


def rights() -> dict[str, list[str]]:
    """The rows of the page's table of rights by who."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()]
    return {row[0]: row[1:] for row in rows if len(row) == 5}


@pytest.mark.parametrize("stage", TOPOLOGY, ids=lambda stage: stage.name)
def test_the_page_names_what_the_topology_reads_and_writes(stage: object) -> None:
    name, reads, emits = stage.name, stage.reads, stage.emits  # type: ignore[attr-defined]
    read, written, group, identity = rights()[name]
    own = emits if name == "ensemble" else set(emits) - {DEAD_LETTERS}
    assert set(read.split(", ")) == {t.name for t in (*reads, *own)} | {"snapshots", "summaries"}
    assert set(written.split(", ")) == {t.name for t in emits} | {"snapshots", "summaries"}
    assert group.startswith(f"PREFIX.{name}")
    assert (identity != "") == (name == "ensemble")


def test_the_page_shows_the_layout() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines()]
    shown = {row[0]: row[1:] for row in rows if len(row) == 5 and row[0].startswith("PREFIX.")}
    assert shown == {
        f"PREFIX.{kept.name}": [
            kept.key,
            kept.cleanup,
            layout.spoken_time(kept.retention),
            kept.written_by,
        ]
        for kept in layout.LAYOUT
    }


def test_wrong_credentials_are_one_sentence_without_the_password(guarded: Broker) -> None:
    good = login(guarded, "admin")
    run(reachable(good))
    for wrong in ({"password": "guessed"}, {"username": "eve"}, {"sasl_mechanism": "SCRAM-SHA-256"}):
        with pytest.raises(
            SettingsError, match=r"refuses user '(admin|eve)' with .*: check WINDVANE_"
        ) as caught:
            run(reachable(msgspec.structs.replace(good, **wrong)))
        assert not re.search(r"guessed|of-admin|\n", str(caught.value))
    with pytest.raises(SettingsError, match="not a broker that speaks PLAINTEXT"):
        run(reachable(KafkaSettings(bootstrap=guarded.bootstrap)))


def test_topics_are_not_made_by_looking_for_them(guarded: Broker) -> None:
    settings = login(guarded, "admin", "looked")
    for _ in range(2):
        with pytest.raises(layout.LayoutError, match=r"looked\.ticks is missing, or admin may not see it"):
            run(layout.check(settings))
        assert {row.partitions for row in run(layout.describe(settings))} == {0}


def test_what_the_page_grants_is_enough_and_nothing_more(guarded: Broker, kafka_home: Path) -> None:
    ensemble, subscriber = login(guarded, "ensemble"), login(guarded, "subscriber")
    with pytest.raises(SettingsError, match=r"topic p\.ticks cannot be made: "):
        run(layout.create(login(guarded, "operator"), partitions=2))
    grant(guarded, kafka_home, "p", "ensemble", "subscriber", "people", "operator")
    assert len(run(layout.create(login(guarded, "operator"), partitions=2))) == len(layout.LAYOUT)
    assert run(layout.check(ensemble)) == run(layout.check(subscriber)) == 2
    run(_works(ensemble, login(guarded, "admin")))
    assert run(_read(subscriber, "p.orders", None)) == b"order"
    run(_orders(login(guarded, "people"), ensemble, login(guarded, "admin")))
    for settings, topic in ((ensemble, "p.ticks"), (subscriber, "p.orders"), (subscriber, "p.control")):
        with pytest.raises(TopicAuthorizationFailedError):
            run(_write(settings, topic))


async def _works(ensemble: KafkaSettings, admin: KafkaSettings) -> None:
    """A transaction on what it writes, and a group on what it reads."""
    await _write(admin, "p.features")
    producer = AIOKafkaProducer(**ensemble.client(), transactional_id="p.ensemble.0")
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait("p.orders", b"order", partition=0)
            await producer.send_and_wait("p.decisions", b"decision", partition=0)
    finally:
        await producer.stop()
    assert await _read(ensemble, "p.features", "p.ensemble") == b"x"


async def _orders(people: KafkaSettings, ensemble: KafkaSettings, admin: KafkaSettings) -> None:
    """A control that is written, and known to be read by the workers."""
    await _write(admin, "p.ticks", to_json(opening(config(), "b")), partition_of("b", 2))
    people = msgspec.structs.replace(people, control_key="the key of the tests, no secret")
    sent = await send_control(people, new_control("b", "halt", 7))
    place = TopicPartition("p.control", partition_of("b", 2))
    consumer = AIOKafkaConsumer(**ensemble.client(), group_id="p.ensemble", enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([place])
        await consumer.commit({place: sent.offset + 1})
    finally:
        await consumer.stop()
    assert (await outcome(people, sent, 20)).sentence.endswith("and it is in effect from row 7")


async def _write(settings: KafkaSettings, topic: str, raw: bytes = b"x", partition: int = 0) -> None:
    producer = AIOKafkaProducer(**settings.client())
    await producer.start()
    try:
        await producer.send_and_wait(topic, raw, key=b"b", partition=partition)
    finally:
        await producer.stop()


async def _read(settings: KafkaSettings, topic: str, group: str | None) -> bytes:
    """The first record of partition 0, committed only; as a member of a group where one is named."""
    consumer = AIOKafkaConsumer(
        **settings.client(), group_id=group, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        if group:
            consumer.subscribe([topic])
        else:
            consumer.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(30):
            return bytes((await consumer.getone()).value)
    finally:
        await consumer.stop()
