"""Controls are signed, and the models they name: only who has the key can halt a book or let it go again.

The signature is the HMAC-SHA256, in hex, of a JSON object of action, book, effective_from, number, prefix and reason:
keys in this order, no spaces, UTF-8; of a swap there is model after effective_from; of a model, of book, number, prefix
and sha256. The prefix is in it, so that an order to a test never reaches what trades.
"""

import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

import msgspec

from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError
from windvane.streams.events import Control, Model

S = TypeVar("S", bound=Control | Model)


def sign(said: S, key: bytes, prefix: str) -> S:
    """The same with its signature. Raises SettingsError where its texts are not UTF-8."""
    try:
        return msgspec.structs.replace(said, signature=_mac(said, key, prefix))
    except UnicodeEncodeError as error:
        raise SettingsError("the book or reason is not readable text: give it in UTF-8") from error


def verified(said: Control | Model, key: bytes, prefix: str) -> bool:
    """Whether who signed it has the key, and meant this prefix."""
    return hmac.compare_digest(_mac(said, key, prefix).encode(), said.signature.encode(errors="replace"))


def key_of(settings: KafkaSettings) -> bytes:
    """The key to sign with; raises SettingsError where there is none."""
    if settings.control_key is None:
        raise SettingsError(
            "controls are signed, and there is no key: set WINDVANE_CONTROL_KEY or WINDVANE_CONTROL_KEY_FILE "
            "to the key that the workers have"
        )
    return settings.control_key.encode()


def guard(settings: KafkaSettings) -> Callable[[Control | Model], bool]:
    """What a worker believes: the key, and while it is changed the old one; nothing at all where it has no key."""
    keys = [key.encode() for key in (settings.control_key, settings.control_key_old) if key is not None]
    return lambda said: any(verified(said, key, settings.prefix) for key in keys)


def _mac(said: Control | Model, key: bytes, prefix: str) -> str:
    signed: dict[str, object] = {"book": said.book, "number": said.number, "prefix": prefix}
    if isinstance(said, Model):
        signed |= {"sha256": said.sha256}
    else:
        signed |= {"action": said.action, "effective_from": said.effective_from, "reason": said.reason}
        signed |= {"model": said.model} if said.model else {}
    text = json.dumps(signed, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hmac.new(key, text.encode(), sha256).hexdigest()
