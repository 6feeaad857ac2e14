"""Settings: who beats whom, what is refused in one sentence, and secrets that never show."""

import io
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner
from cli_harness import refusal, windvane
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from windvane.infra.kafka.broker.settings import _VARIABLES, KafkaSettings, SettingsError, partition_of

SASL = {
    "WINDVANE_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "WINDVANE_KAFKA_USERNAME": "ann",
    "WINDVANE_KAFKA_PASSWORD": "open-sesame",
}
KEY = "0123456789abcdef"


def load(**names: str) -> KafkaSettings:
    return KafkaSettings.load(environ=names)


def refused(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        KafkaSettings.load(environ=environ)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "kafka.toml"
    file.write_text('bootstrap = "file:1"\nprefix = "file"\n')
    environ = {"WINDVANE_KAFKA_CONFIG": str(file)}
    assert (load().bootstrap, load().prefix) == ("127.0.0.1:9092", "windvane")
    assert load(**environ).bootstrap == "file:1"
    environ["WINDVANE_KAFKA_BOOTSTRAP"] = "environment:2"
    assert (load(**environ).bootstrap, load(**environ).prefix) == ("environment:2", "file")
    flagged = KafkaSettings.load("flag:3", "flag", environ)
    assert (flagged.bootstrap, flagged.prefix) == ("flag:3", "flag")


def test_secrets_come_from_files_as_containers_give_them(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open-sesame\n")
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "old").write_text(f"{KEY}, once\n")
    (tmp_path / "kafka.toml").write_text(f'control_key_file = "{tmp_path / "key"}"\n')
    environ = {k: v for k, v in SASL.items() if not k.endswith("PASSWORD")}
    environ |= {
        "WINDVANE_KAFKA_PASSWORD_FILE": str(tmp_path / "password"),
        "WINDVANE_CONTROL_KEY_OLD_FILE": str(tmp_path / "old"),
        "WINDVANE_KAFKA_CONFIG": str(tmp_path / "kafka.toml"),
    }
    settings = KafkaSettings.load(environ=environ)
    assert (settings.password, settings.control_key) == ("open-sesame", KEY)
    assert settings.control_key_old == f"{KEY}, once"
    assert settings.client()["sasl_plain_password"] == "open-sesame"  # noqa: S105
    assert "both set" in refused(environ | {"WINDVANE_KAFKA_PASSWORD": "x"})


@pytest.mark.parametrize("written", [KEY.encode(), "nötig".encode("latin-1")])
def test_a_secret_that_is_refused_is_not_told(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "kafka.toml").write_bytes(b'password = "' + written + b"\n")
    said = refused({"WINDVANE_KAFKA_CONFIG": str(tmp_path / "kafka.toml")})
    assert "it is not TOML" in said
    assert KEY not in said


def test_secrets_never_show() -> None:
    keys = {"WINDVANE_CONTROL_KEY": KEY, "WINDVANE_CONTROL_KEY_OLD": f"{KEY}, once"}
    settings = KafkaSettings.load(environ=SASL | keys)
    out = io.StringIO()
    Console(file=out, width=400).print(settings)
    shown = [repr(settings), str(settings), f"{settings}", f"{settings!s:>9}", out.getvalue()]
    for text in (*shown, repr([settings]), repr(msgspec.structs.replace(settings, prefix="other"))):
        assert "open-sesame" not in text
        assert KEY not in text
        assert "ann" in text
        assert "***" in text


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"WINDVANE_KAFKA_BOOTSTRAP": "localhost"}, "give HOST:PORT"),
        ({"WINDVANE_KAFKA_BOOTSTRAP": "localhost:"}, "give HOST:PORT"),
        ({"WINDVANE_KAFKA_BOOTSTRAP": "localhost:99999"}, "give HOST:PORT"),
        ({"WINDVANE_KAFKA_BOOTSTRAP": "a:1,b"}, "give HOST:PORT"),
        ({"WINDVANE_KAFKA_BOOTSTRAP": "http://a:1"}, "give HOST:PORT"),
        ({"WINDVANE_KAFKA_PREFIX": "a b"}, "letters, digits"),
        ({"WINDVANE_KAFKA_PREFIX": ".."}, "letters, digits"),
        ({"WINDVANE_KAFKA_PREFIX": "a" * 151}, "letters, digits"),
        (
            {"WINDVANE_KAFKA_SECURITY_PROTOCOL": "TLS"},
            "give one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        ),
        (SASL | {"WINDVANE_KAFKA_SASL_MECHANISM": "GSSAPI"}, "give one of PLAIN, SCRAM-SHA-256"),
        (
            {k: v for k, v in SASL.items() if "PASSWORD" not in k},
            "needs a password: set WINDVANE_KAFKA_PASSWORD",
        ),
        ({k: v for k, v in SASL.items() if "PROTOCOL" not in k}, "PLAINTEXT does not send it"),
        ({"WINDVANE_KAFKA_CA_FILE": "/nowhere"}, "PLAINTEXT does not use it"),
        ({"WINDVANE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, "PLAINTEXT does not use it"),
        (
            {"WINDVANE_KAFKA_BOOTSTRAP_SERVERS": "a:1"},
            "unknown variable WINDVANE_KAFKA_BOOTSTRAP_SERVERS: there",
        ),
        (
            {"WINDVANE_KAFKA_CA_FILE": "/nowhere", "WINDVANE_KAFKA_SECURITY_PROTOCOL": "SSL"},
            "there is no such file",
        ),
        (
            {"WINDVANE_KAFKA_CERT_FILE": __file__, "WINDVANE_KAFKA_SECURITY_PROTOCOL": "SSL"},
            "set both",
        ),
        ({"WINDVANE_CONTROL_KEY": "short"}, "fewer than 16 characters"),
        ({"WINDVANE_CONTROL_KEY_FILE": "/nowhere"}, "cannot be read"),
        ({"WINDVANE_CONTROL_KEY": KEY, "WINDVANE_CONTROL_KEY_OLD": "short"}, "fewer than 16 characters"),
        ({"WINDVANE_CONTROL_KEY_OLD": KEY}, "KEY_OLD is given without WINDVANE_CONTROL_KEY: set that to"),
        ({"WINDVANE_CONTROL_KEY": KEY, "WINDVANE_CONTROL_KEY_OLD": KEY}, "are the same: leave"),
        ({"WINDVANE_KAFKA_CONFIG": "/nowhere.toml"}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(environ: dict[str, str], says: str) -> None:
    assert says in refused(environ)


def test_the_file_is_refused_where_it_says_what_nobody_reads(tmp_path: Path) -> None:
    file = tmp_path / "kafka.toml"
    file.write_text('bootstrp = "a:1"\n')
    assert "unknown setting 'bootstrp'" in refused({"WINDVANE_KAFKA_CONFIG": str(file)})
    file.write_text("prefix = 1\n")
    assert "prefix must be a text in quotes" in refused({"WINDVANE_KAFKA_CONFIG": str(file)})


@pytest.mark.parametrize("name", [*_VARIABLES, "password file", "control_key file", "config"])
def test_every_variable_changes_the_settings(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("another-secret-of-16\n")
    (tmp_path / "kafka.toml").write_text('prefix = "other"\n')
    usual = {"WINDVANE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "WINDVANE_KAFKA_CERT_FILE": __file__}
    usual |= {
        "WINDVANE_KAFKA_KEY_FILE": __file__,
        "WINDVANE_KAFKA_USERNAME": "a",
        "WINDVANE_KAFKA_PASSWORD": "b",
    }
    if name == "control_key_old":
        usual["WINDVANE_CONTROL_KEY"] = KEY
    others = {
        "bootstrap": "other:1",
        "security_protocol": "SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "agent_keys": "js=another-word-of-16-letters",
        **dict.fromkeys(("ca_file", "cert_file", "key_file"), str(tmp_path / "secret")),
    }
    if name == "config":
        changed = {"WINDVANE_KAFKA_CONFIG": str(tmp_path / "kafka.toml")}
    elif name.endswith(" file"):
        variable = _VARIABLES[name.removesuffix(" file")]
        changed = {variable: "", f"{variable}_FILE": str(tmp_path / "secret")}
    else:
        changed = {_VARIABLES[name]: others.get(name, "another-word-of-16-letters")}
    if name == "security_protocol":
        changed |= {"WINDVANE_KAFKA_USERNAME": "", "WINDVANE_KAFKA_PASSWORD": ""}
    one, other = (KafkaSettings.load(environ=e) for e in (usual, usual | changed))
    field = "prefix" if name == "config" else name.removesuffix(" file")
    assert getattr(one, field) != getattr(other, field)


def test_certificates_that_are_none_are_refused() -> None:
    settings = load(WINDVANE_KAFKA_SECURITY_PROTOCOL="SSL", WINDVANE_KAFKA_CA_FILE=__file__)
    with pytest.raises(SettingsError, match="certificates cannot be used"):
        settings.client()


@pytest.mark.parametrize("bootstrap", ["[::1]:9092", "a.example.com:9092,b.example.com:9093", "kafka:9092"])
def test_addresses_that_are_fine(bootstrap: str) -> None:
    assert KafkaSettings(bootstrap=bootstrap).client()["bootstrap_servers"] == bootstrap


@given(st.text(), st.integers(1, 64))
def test_a_book_lies_where_every_client_puts_its_key(book: str, partitions: int) -> None:
    places = list(range(partitions))
    assert partition_of(book, partitions) == DefaultPartitioner()(book.encode(), places, places)


def test_a_broker_that_is_not_there_is_told_soon() -> None:
    started = time.monotonic()
    said = refusal(windvane("topics", "check", "--bootstrap", "127.0.0.1:1"))
    assert said == "no broker answers at 127.0.0.1:1: start one or give --bootstrap HOST:PORT"
    assert time.monotonic() - started < 10
