"""TLS: the broker's certificate is checked, and what does not fit is one sentence."""

import shutil
import subprocess
import time
from asyncio import run
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from broker import Broker

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import ANSWER_SECONDS, KafkaSettings, SettingsError, reachable


@pytest.fixture(scope="module")
def secured(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    """A broker with a certificate for 127.0.0.1 that only its own file vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make a certificate with: install it")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [openssl, *words.split(), "-out", cert, "-keyout", key], check=True, capture_output=True, timeout=60
    )
    store = folder / "store.pem"
    store.write_text(key.read_text() + cert.read_text())
    extra = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(store)}
    extra |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(cert)}
    broker = Broker(kafka_home, folder / "broker", extra, protocol="SSL")
    broker.start()
    yield KafkaSettings(bootstrap=broker.bootstrap, security_protocol="SSL", ca_file=str(cert))
    broker.stop()


def refused(settings: KafkaSettings) -> str:
    started = time.monotonic()
    with pytest.raises(SettingsError) as caught:
        run(reachable(settings))
    assert time.monotonic() - started < ANSWER_SECONDS + 2
    return str(caught.value)


def test_a_broker_that_the_file_vouches_for_is_used(secured: KafkaSettings) -> None:
    run(layout.create(secured, partitions=1))
    assert run(layout.check(secured)) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(secured: KafkaSettings) -> None:
    said = refused(msgspec.structs.replace(secured, ca_file=None))
    assert "is not trusted (self" in said
    assert said.endswith("set WINDVANE_KAFKA_CA_FILE to that of who signed it")


def test_a_certificate_for_another_name_is_refused(secured: KafkaSettings) -> None:
    elsewhere = secured.bootstrap.replace("127.0.0.1", "localhost")
    assert "is not trusted (Hostname mismatch" in refused(
        msgspec.structs.replace(secured, bootstrap=elsewhere)
    )


def test_without_tls_it_says_so(secured: KafkaSettings) -> None:
    plain = KafkaSettings(bootstrap=secured.bootstrap)
    assert "not a broker that speaks PLAINTEXT: check the address and WINDVANE_KAFKA_SECURITY" in refused(
        plain
    )
