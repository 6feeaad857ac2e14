"""How every client reaches the broker: settings from flags, the environment or a file, checked when they are read.

Passwords and keys among them are never printed.
"""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from os import environ as process_environment
from pathlib import Path
from typing import Any

import msgspec

from windvane.agents.errors import WindvaneError
from windvane.agents.naming import is_plain
from windvane.streams.topics import Topic

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

ANSWER_SECONDS = 8.0
"""A broker that has not answered after so long counts as away, and the person who asked learns it."""

_SECRETS = ("password", "control_key", "control_key_old", "agent_keys")
_LEAST_KEY = 16
_AWAY = "no broker answers at"
_VARIABLES = {
    "bootstrap": "WINDVANE_KAFKA_BOOTSTRAP",
    "prefix": "WINDVANE_KAFKA_PREFIX",
    "security_protocol": "WINDVANE_KAFKA_SECURITY_PROTOCOL",
    "sasl_mechanism": "WINDVANE_KAFKA_SASL_MECHANISM",
    "username": "WINDVANE_KAFKA_USERNAME",
    "password": "WINDVANE_KAFKA_PASSWORD",
    "ca_file": "WINDVANE_KAFKA_CA_FILE",
    "cert_file": "WINDVANE_KAFKA_CERT_FILE",
    "key_file": "WINDVANE_KAFKA_KEY_FILE",
    "control_key": "WINDVANE_CONTROL_KEY",
    "control_key_old": "WINDVANE_CONTROL_KEY_OLD",
    "agent_keys": "WINDVANE_AGENT_KEYS",
}
_KAFKA, _FILE = "WINDVANE_KAFKA_", "WINDVANE_KAFKA_CONFIG"
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]/]+):([0-9]{1,5})")


class SettingsError(WindvaneError):
    """Settings do not lead to a broker; the message is one sentence that says which, and what to do."""


class AwayError(SettingsError):
    """Nothing answers at the broker's address; a worker, which can wait, tries again."""


def _check(condition: bool, sentence: str) -> None:
    if not condition:
        raise SettingsError(sentence)


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is, how a client logs in, and the prefix of all names that are used there."""

    bootstrap: str = "127.0.0.1:9092"  # HOST:PORT, several with commas
    prefix: str = "windvane"  # of topics, groups and transactional ids
    security_protocol: str = "PLAINTEXT"  # one of PROTOCOLS
    sasl_mechanism: str = "PLAIN"  # one of MECHANISMS
    username: str | None = None
    password: str | None = None
    ca_file: str | None = None  # PEM; without it the system's authorities
    cert_file: str | None = None  # PEM, where the broker wants one of clients
    key_file: str | None = None  # PEM, unencrypted
    control_key: str | None = None  # what controls are signed with
    control_key_old: str | None = None  # believed too, while the key is changed
    agent_keys: str | None = None  # AGENT=KEY, separated by spaces or lines: what proposals are signed with

    def __post_init__(self) -> None:
        _check_bootstrap(self.bootstrap)
        _check(
            _PREFIX.fullmatch(self.prefix) is not None,
            f"the prefix is {self.prefix!r}: give 1 to 150 letters, digits, dots, dashes or underscores, "
            "a letter or digit first",
        )
        _check(
            self.security_protocol in PROTOCOLS,
            f"the security protocol is {self.security_protocol!r}: give one of {', '.join(PROTOCOLS)}",
        )
        _check(
            self.sasl_mechanism in MECHANISMS,
            f"the SASL mechanism is {self.sasl_mechanism!r}: give one of {', '.join(MECHANISMS)}",
        )
        _check(
            self.sasl_mechanism == "PLAIN" or self.security_protocol.startswith("SASL"),
            f"the SASL mechanism is {self.sasl_mechanism}, but {self.security_protocol} does not use it: "
            f"set {_VARIABLES['security_protocol']} to SASL_SSL",
        )
        self._check_login()
        self._check_tls()
        self._check_keys()

    def _check_keys(self) -> None:
        for key in (self.control_key, self.control_key_old):
            _check(
                key is None or len(key) >= _LEAST_KEY,
                f"the control key has fewer than {_LEAST_KEY} characters: "
                "make one with `openssl rand -hex 32` and give it to all workers",
            )
        if self.control_key_old is not None:
            old = _VARIABLES["control_key_old"]
            new = _VARIABLES["control_key"]
            _check(self.control_key is not None, f"{old} is given without {new}: set that to the new key")
            _check(self.control_key != self.control_key_old, f"{old} and {new} are the same: leave {old} out")

        keys_by_agent(self.agent_keys)

    def _check_login(self) -> None:
        protocol = self.security_protocol
        if protocol.startswith("SASL"):
            for name in ("username", "password"):
                _check(
                    bool(getattr(self, name)),
                    f"{protocol} needs a {name}: set {_VARIABLES[name]}",
                )
        else:
            _check(
                self.username is None and self.password is None,
                f"a username or password is given, but {protocol} does not send it: "
                f"set {_VARIABLES['security_protocol']} to SASL_SSL",
            )

    def _check_tls(self) -> None:
        files = {name: getattr(self, name) for name in ("ca_file", "cert_file", "key_file")}
        for name, path in files.items():
            if path is None:
                continue
            _check(
                self.security_protocol.endswith("SSL"),
                f"{_VARIABLES[name]} is given, but {self.security_protocol} does not use it: "
                f"set {_VARIABLES['security_protocol']} to SSL or SASL_SSL",
            )
            _check(Path(path).is_file(), f"{_VARIABLES[name]} is {path!r}: there is no such file")
        _check(
            (self.cert_file is None) == (self.key_file is None),
            f"a client's certificate needs its key: set both {_VARIABLES['cert_file']} "
            f"and {_VARIABLES['key_file']}",
        )

    @staticmethod
    def load(
        bootstrap: str | None = None, prefix: str | None = None, environ: Mapping[str, str] | None = None
    ) -> "KafkaSettings":
        """Settings from these two flags, else the environment, else the TOML file that WINDVANE_KAFKA_CONFIG names.

        environ: instead of the process's environment. Raises SettingsError for values that cannot be, or where the
        libraries of windvane[kafka] are not installed.
        """
        _check(find_spec("aiokafka") is not None, "Kafka needs more libraries: pip install 'windvane[kafka]'")
        environ = process_environment if environ is None else environ
        values = {**_from_file(environ.get(_FILE)), **_from_environment(environ)}
        values |= {k: v for k, v in (("bootstrap", bootstrap), ("prefix", prefix)) if v is not None}
        return KafkaSettings(**values)

    def client(self) -> dict[str, Any]:
        """Return the arguments that every aiokafka client takes."""
        sasl = self.security_protocol.startswith("SASL")
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security_protocol,
            "ssl_context": self._ssl_context() if self.security_protocol.endswith("SSL") else None,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.username if sasl else None,
            "sasl_plain_password": self.password if sasl else None,
        }

    def _ssl_context(self) -> Any:
        from aiokafka.helpers import create_ssl_context

        try:
            return create_ssl_context(
                cafile=self.ca_file, certfile=self.cert_file, keyfile=self.key_file, password=_no_passphrase
            )
        except OSError as error:
            raise SettingsError(
                f"the certificates cannot be used ({error}): give PEM files, the key without a passphrase"
            ) from error

    def topic(self, topic: Topic | str) -> str:
        """The name on the broker of a topic, which is named by itself or by its name without the prefix."""
        return f"{self.prefix}.{topic if isinstance(topic, str) else topic.name}"

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"KafkaSettings({fields})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(n, "***" if n in _SECRETS and value is not None else value) for n, value in fields]


def keys_by_agent(text: str | None) -> dict[str, str]:
    """Keys by agent, of words AGENT=KEY; * in place of an agent stands for all that are not named.

    Raises SettingsError where they cannot be, and never says a key.
    """
    keys: dict[str, str] = {}
    for place, word in enumerate((text or "").split(), 1):
        name, equals, key = word.partition("=")
        variable = _VARIABLES["agent_keys"]
        _check(
            bool(equals) and (name == "*" or is_plain(name)),
            f"word {place} of {variable} is no AGENT=KEY: give such words, separated by spaces or lines",
        )
        _check(
            len(key) >= _LEAST_KEY,
            f"the key of agent {name} in {variable} has fewer than {_LEAST_KEY} characters: "
            "make one with `openssl rand -hex 32`",
        )
        _check(name not in keys, f"{variable} has two keys of agent {name}: keep one")
        keys[name] = key
    return keys


def _no_passphrase() -> str:
    """An empty passphrase, so that a key that has one is refused instead of asking for it on a service's terminal."""
    return ""


def _check_bootstrap(bootstrap: str) -> None:
    for address in bootstrap.split(","):
        parts = _ADDRESS.fullmatch(address.strip())
        _check(
            parts is not None and 0 < int(parts[2]) < 65536,
            f"the broker's address is {bootstrap!r}: give HOST:PORT, such as 127.0.0.1:9092",
        )


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What is set and not empty; a secret may be in a file that NAME_FILE names."""
    known = {*_VARIABLES.values(), *(f"{_VARIABLES[field]}_FILE" for field in _SECRETS), _FILE}
    for name in environ:
        _check(
            name in known or not name.startswith(_KAFKA),
            f"unknown variable {name}: there are {', '.join(sorted(n for n in known if n.startswith(_KAFKA)))}",
        )
    values = {field: environ[name] for field, name in _VARIABLES.items() if environ.get(name)}
    for field in _SECRETS:
        name = _VARIABLES[field]
        path = environ.get(f"{name}_FILE")
        if path:
            _check(field not in values, f"{name} and {name}_FILE are both set: keep one")
            values[field] = _secret(path, f"{name}_FILE")
    return values


def _secret(path: str, name: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name} is {path!r}: it cannot be read as text") from error
    _check(bool(text), f"{name} is {path!r}: the file is empty")
    return text


def _from_file(path: str | None) -> dict[str, str]:
    """The TOML file: the names of the fields, and password_file and control_key_file."""
    if not path:
        return {}
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = "it cannot be read" if isinstance(error, OSError) else "it is not TOML"
        raise SettingsError(f"{_FILE} is {path!r}: {reason}") from error
    known = (*_VARIABLES, *(f"{field}_file" for field in _SECRETS))
    values: dict[str, str] = {}
    for key, value in table.items():
        _check(key in known, f"{path}: unknown setting {key!r}: there are {', '.join(known)}")
        _check(isinstance(value, str), f"{path}: {key} must be a text in quotes")
        values[key] = value
    for field in _SECRETS:
        named = values.pop(f"{field}_file", None)
        if named is not None:
            _check(field not in values, f"{path}: {field} and {field}_file are both given: keep one")
            values[field] = _secret(named, f"{path}: {field}_file")
    return values


@lru_cache(maxsize=4096)
def partition_of(book: str, partitions: int) -> int:
    """The partition of a book: the one that the default partitioner of Kafka's clients chooses for its name as key."""
    from aiokafka.partitioner import murmur2

    return int(murmur2(book.encode()) & 0x7FFFFFFF) % partitions


async def reachable(settings: KafkaSettings) -> None:
    """Connect once and log in; raises SettingsError with what stands in the way, and AwayError where nothing answers.

    It takes ANSWER_SECONDS at most.
    """
    addresses = settings.bootstrap.split(",")
    refusals = [await _refusal(settings, at.strip(), ANSWER_SECONDS / len(addresses)) for at in addresses]
    if "" not in refusals:
        raise (AwayError if any(r.startswith(_AWAY) for r in refusals) else SettingsError)(refusals[0])


async def _refusal(settings: KafkaSettings, at: str, seconds: float) -> str:
    """Why the broker at HOST:PORT cannot be used, as a sentence; "" where it can."""
    from asyncio import timeout
    from ssl import SSLCertVerificationError, SSLError

    from aiokafka import errors
    from aiokafka.conn import create_conn
    from aiokafka.protocol.metadata import MetadataRequest

    client = settings.client()
    del client["bootstrap_servers"]
    host, _, port = at.rpartition(":")
    protocol, mechanism = settings.security_protocol, settings.sasl_mechanism
    try:
        async with timeout(seconds):
            connection = await create_conn(host.strip("[]"), int(port), **client)
            try:
                await connection.send(MetadataRequest([]))  # who must log in and did not is cut off only here
            finally:
                await connection.close()
    except (errors.SaslAuthenticationFailed, errors.UnsupportedSaslMechanismError):
        return (
            f"the broker at {at} refuses user {settings.username!r} with {mechanism}: check "
            f"{_VARIABLES['username']}, {_VARIABLES['password']} and {_VARIABLES['sasl_mechanism']}"
        )
    except SSLCertVerificationError as error:
        return (
            f"the certificate of the broker at {at} is not trusted ({error.verify_message}): "
            f"set {_VARIABLES['ca_file']} to that of who signed it"
        )
    except (errors.KafkaError, SSLError):
        return (
            f"something answers at {at}, but not a broker that speaks {protocol}: "
            f"check the address and {_VARIABLES['security_protocol']}"
        )
    except (OSError, UnicodeError):
        return f"{_AWAY} {at}: start one or give --bootstrap HOST:PORT"
    return ""
