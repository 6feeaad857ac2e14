"""Controls are signed, and so are the models that they name: only who has the key can halt a book or let it go again.

The signature is the HMAC-SHA256, in hex, of a JSON object of action, book, effective_from, number, prefix and reason:
keys in this order, no spaces, UTF-8; of a swap there is model after effective_from, of wake and retire there is agent
after action; of a model, of book, number, prefix
and sha256. The prefix is in it, so that a control of a test is never believed by the workers that trade.
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


def sign(event: S, key: bytes, prefix: str) -> S:
    """A copy of a control or model with its signature; raises SettingsError where its texts are not UTF-8."""
    try:
        return msgspec.structs.replace(event, signature=_mac(event, key, prefix))
    except UnicodeEncodeError as error:
        raise SettingsError("the book or reason is not readable text: give it in UTF-8") from error


def verified(event: Control | Model, key: bytes, prefix: str) -> bool:
    """Whether a control or model was signed with this key for this prefix."""
    return hmac.compare_digest(_mac(event, key, prefix).encode(), event.signature.encode(errors="replace"))


def key_of(settings: KafkaSettings) -> bytes:
    """Return the key to sign with, from the environment; raises SettingsError where there is none."""
    if settings.control_key is None:
        raise SettingsError(
            "controls are signed, and there is no key: set WINDVANE_CONTROL_KEY or WINDVANE_CONTROL_KEY_FILE "
            "to the key that the workers have"
        )
    return settings.control_key.encode()


def guard(settings: KafkaSettings) -> Callable[[Control | Model], bool]:
    """The test by which a worker believes a control or model: it is signed with its key, or with the old one.

    A worker without a key believes none.
    """
    keys = [key.encode() for key in (settings.control_key, settings.control_key_old) if key is not None]
    return lambda event: any(verified(event, key, settings.prefix) for key in keys)


def _mac(event: Control | Model, key: bytes, prefix: str) -> str:
    signed: dict[str, object] = {"book": event.book, "number": event.number, "prefix": prefix}
    if isinstance(event, Model):
        signed |= {"sha256": event.sha256}
    else:
        signed |= {"action": event.action, "effective_from": event.effective_from, "reason": event.reason}
        signed |= {name: text for name in ("model", "agent") if (text := getattr(event, name))}
    text = json.dumps(signed, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hmac.new(key, text.encode(), sha256).hexdigest()
