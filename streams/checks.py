"""What a worker checks of a record before it believes it: size, form, place, signature, prices and distance."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from windvane.metamodel.base.rows import LEAST_PRICE, MOST_PRICE, REPEATED
from windvane.streams.book import FARTHEST_ROWS
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import Batch, BookClosed, Control, Event, Features, Model, Proposals
from windvane.streams.outside import read_answers
from windvane.streams.topics import MODELS, PROPOSALS, Topic

_MOST_BYTES = 600_000
MOST_MODEL_BYTES = 8_000_000
"""Largest record of the topic models."""

LONGEST_NAME = 200
"""Most characters of a book's name."""


Proven = Callable[[tuple[str, ...], bytes, bytes], bool]
"""Whether the signature beside a record's bytes proves that whoever sent it may speak for these agents."""


class Checks(NamedTuple):
    """What the place of a worker knows of a record that its event cannot know itself."""

    partition: int = 0
    owns: Callable[[str], bool] = lambda book: True  # whether a book belongs on this partition
    signed: Callable[[Control | Model], bool] = lambda event: True  # whether a person who may has signed it
    proven: Proven = lambda agents, raw, signature: (
        True
    )  # whether the keys of all these agents have signed the bytes


def decoded(
    topic: Topic,
    raw: bytes,
    received: int | None,
    signature: bytes,
    proven: Proven,
    read: Event | None = None,
) -> Event:
    """The event of a record; raises WireError where it is none, or larger than a record of its topic may be.

    signature: what stands beside the record. Of proposals it is noted whether it proves who sent them, since only
    their book says whether it asks for that. read: the event, where the record was read already.
    """
    if topic is MODELS and len(raw) > MOST_MODEL_BYTES:
        raise WireError(f"the record has {len(raw)} bytes: models have at most {MOST_MODEL_BYTES}")
    if topic is not MODELS and len(raw) > _MOST_BYTES:
        raise WireError(f"the record has {len(raw)} bytes: cut it to at most 256 rows")
    if topic is not PROPOSALS:
        return from_json(raw, received) if read is None else read
    event = read_answers(raw) if read is None else read
    if not isinstance(event, Proposals):
        return event
    unproven = not proven(event.agents, raw, signature)
    return event if event.unproven == unproven else msgspec.structs.replace(event, unproven=unproven)


class Gatekeeper:
    """Refuses events that a worker must not believe; it remembers how far the rows of every topic and book came."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._reach: dict[tuple[str, str], int] = {}  # last row received of a topic and book

    def decoded(
        self, topic: Topic, raw: bytes, received: int | None, signature: bytes, read: Event | None
    ) -> Event:
        """As the function `decoded` does."""
        return decoded(topic, raw, received, signature, self._checks.proven, read)

    def refusal(self, topic: Topic, event: Event, next_seq: int) -> str:
        """Why an event must not be believed; "" where it may be. next_seq: of the next row of its book to work off."""
        if type(event) not in topic.carries:
            return f"{type(event).__name__} does not belong on {topic.name}"
        if not 0 < len(event.book) <= LONGEST_NAME:
            return f"a book's name has 1 to {LONGEST_NAME} characters, this one {len(event.book)}"
        if not self._checks.owns(event.book):
            return f"book {event.book} belongs on another partition: give its name as the record's key"
        if isinstance(event, Control | Model) and not self._checks.signed(event):
            what = type(event).__name__.lower()
            return f"{what} {event.number} is not signed by who may: set the key that the workers have"
        if isinstance(event, Features) and not _priced(event):
            return "a good row has a mid that is no price"
        return self._too_far(topic, event, next_seq) if isinstance(event, Batch | BookClosed) else ""

    def _too_far(self, topic: Topic, event: Batch | BookClosed, next_seq: int) -> str:
        """Why rows are too far ahead, "" where they are not.

        Rows that no step can reach would stay unused for ever, and every restart would read again from them on.
        """
        key, last = (topic.name, event.book), event.last
        reach = self._reach.get(key, -1)
        near = max(reach + 1, next_seq)
        if last > near + FARTHEST_ROWS:
            return f"book {event.book} is at seq {near}: seq {last} is too far ahead"
        if last > reach and isinstance(event, Batch):
            self._reach[key] = last
        return ""


def _priced(rows: Features) -> bool:
    """Whether every good row has a mid that is a price: returns are divided by it."""
    if len(rows) == 1:
        return bool(LEAST_PRICE <= rows.mid[0] <= MOST_PRICE or rows.flags[0] & REPEATED)
    mid = rows.mid[(rows.flags & REPEATED) == 0]
    return bool(((mid >= LEAST_PRICE) & (mid <= MOST_PRICE)).all())
