"""Keys of agents: only who has the key of an agent can write proposals in its name, in books that ask for keys.

A record is signed with every key that its writer has. The header `windvane-signature` of the record holds the
HMAC-SHA256 of the record's exact bytes under each of them, in hex, separated by commas.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256

from windvane.infra.kafka.broker.settings import KafkaSettings, keys_by_agent
from windvane.streams.checks import Proven

HEADER = "windvane-signature"
EVERY = "*"
"""In place of a name: the key of all agents that have none of their own."""

_MOST_SIGNATURES = 65
_HEX = 64

Headers = Iterable[tuple[str, bytes]]


def signature_of(headers: Headers) -> bytes:
    """The signatures beside a record, b"" where there are none."""
    return next((value or b"" for name, value in headers if name == HEADER), b"")


class Signer:
    """Signs records with every key of the settings; without a key it does not sign."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._keys = sorted({key.encode() for key in keys_by_agent(settings.agent_keys).values()})

    def headers(self, raw: bytes) -> list[tuple[str, bytes]]:
        """The headers of a record."""
        if not self._keys:
            return []
        return [(HEADER, ",".join(_signature(key, raw) for key in self._keys).encode())]


def prover(settings: KafkaSettings) -> Proven:
    """The test by which a worker believes proposals: each of their agents has a key, and all of those have signed.

    A worker without keys believes none, in books that ask for keys.
    """
    keys = {name: key.encode() for name, key in keys_by_agent(settings.agent_keys).items()}

    def proven(agents: tuple[str, ...], raw: bytes, signature: bytes) -> bool:
        of = {keys.get(agent, keys.get(EVERY)) for agent in agents}
        if None in of or not agents or len(signature) > _MOST_SIGNATURES * (_HEX + 1):
            return False
        signatures = signature.split(b",")
        return all(key is not None and _signs(key, raw, signatures) for key in of)

    return proven


def _signs(key: bytes, raw: bytes, signatures: list[bytes]) -> bool:
    mac = _signature(key, raw).encode()
    return any(hmac.compare_digest(mac, signature) for signature in signatures)


def _signature(key: bytes, raw: bytes) -> str:
    return hmac.new(key, raw, sha256).hexdigest()
