"""Controls are signed: only who has the key can halt a book or let it go again.

The signature is the HMAC-SHA256, in hex, of a JSON object of action, book, effective_from, number, prefix and reason:
keys in this order, no spaces, UTF-8. The prefix is in it, so that an order to a test never reaches what trades.
"""

import hmac
import json
from collections.abc import Callable
from hashlib import sha256

import msgspec

from windvane.infra.kafka.settings import KafkaSettings, SettingsError
from windvane.streams.events import Control


def sign(control: Control, key: bytes, prefix: str) -> Control:
    """The same control with its signature. Raises SettingsError where its texts are not UTF-8."""
    try:
        return msgspec.structs.replace(control, signature=_mac(control, key, prefix))
    except UnicodeEncodeError as error:
        raise SettingsError("the book or reason is not readable text: give it in UTF-8") from error


def verified(control: Control, key: bytes, prefix: str) -> bool:
    """Whether who signed the control has the key, and meant this prefix."""
    return hmac.compare_digest(
        _mac(control, key, prefix).encode(), control.signature.encode(errors="replace")
    )


def key_of(settings: KafkaSettings) -> bytes:
    """The key to sign with; raises SettingsError where there is none."""
    if settings.control_key is None:
        raise SettingsError(
            "controls are signed, and there is no key: set WINDVANE_CONTROL_KEY or WINDVANE_CONTROL_KEY_FILE "
            "to the key that the workers have"
        )
    return settings.control_key.encode()


def guard(settings: KafkaSettings) -> Callable[[Control], bool]:
    """What a worker believes: nothing at all where it has no key."""
    if settings.control_key is None:
        return lambda control: False
    key, prefix = settings.control_key.encode(), settings.prefix
    return lambda control: verified(control, key, prefix)


def _mac(control: Control, key: bytes, prefix: str) -> str:
    said = {
        "action": control.action,
        "book": control.book,
        "effective_from": control.effective_from,
        "number": control.number,
        "prefix": prefix,
        "reason": control.reason,
    }
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hmac.new(key, text.encode(), sha256).hexdigest()
