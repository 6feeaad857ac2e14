"""How a book is opened on the wire: who feeds it gives what differs from the defaults, and the rest is completed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from windvane.metamodel.base.config import TradingConfig, default_stale_after, digest
from windvane.streams.events import BookOpened, Event

_MOST_NAMED = 4

msgspec.json.Decoder(BookOpened)
# The first use of a type makes msgspec look up its fields. Partitions load their states in threads, and two threads
# that look up one type at once crash the process, so every type of event is looked up when its module is imported.


class SentOpening(Event, frozen=True, kw_only=True, tag="BookOpened"):
    """A BookOpened as its sender wrote it; without a digest its settings are those that differ from the defaults."""

    config: dict[str, Any]
    digest: str = ""


def completed(sent: SentOpening) -> BookOpened:
    """Return the opening with every setting and its digest, equal in every release.

    Left out, a setting has its default, which no release changes, and `stale_after` is the larger of ten intervals and
    60 s, as for a market file. An opening with a digest is taken as it is. Raises msgspec.ValidationError or
    ConfigError for settings that cannot be.
    """
    opened = msgspec.convert({**msgspec.to_builtins(sent), "digest": sent.digest}, BookOpened)
    if sent.digest:
        return opened
    config = opened.config
    if "stale_after" not in sent.config:
        config = msgspec.structs.replace(config, stale_after=default_stale_after(config.interval))
    return BookOpened(book=sent.book, config=config, digest=digest(config))


def unlike(theirs: TradingConfig, ours: TradingConfig) -> str:
    """The settings in which a book that is open and one that is sent differ, with both values, in words."""
    there, sent = (_flat(msgspec.to_builtins(config)) for config in (theirs, ours))
    others = [name for name, value in sent.items() if there.get(name) != value]
    named = [f"{name} is {there.get(name)!r} there and {sent[name]!r} here" for name in others[:_MOST_NAMED]]
    more = len(others) - len(named)
    return ", ".join([*named, f"and {more} more differ"] if more else named)


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Settings by their path with dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return flat
