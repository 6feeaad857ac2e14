"""The present state of each book, read from the last records of its topics."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.broker.tails import Tail, Tails
from windvane.infra.telemetry.metrics import verdict_counts
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.trading.control import STATES
from windvane.streams import topics
from windvane.streams.codec import WireError, from_json
from windvane.streams.events import (
    Batch,
    BookClosed,
    Decisions,
    Event,
    Features,
    LearnerUpdate,
    Proposals,
    Ticks,
)

OF_BOOKS = (topics.TICKS, topics.FEATURES, topics.PROPOSALS, topics.DECISIONS)
"""Topics on which every open book has records, by which books are found."""

_READ = (*OF_BOOKS, topics.ORDERS, topics.LEARNER)
E = TypeVar("E", bound=Event)


class Book(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The present state of one book; a field is None where its topic has no record of the book near its end."""

    book: str
    closed: bool = False
    ticks: int | None = None  # last seq
    features: int | None = None  # last seq
    proposals: int | None = None  # last seq that all agents have answered
    decisions: int | None = None  # last seq
    behind: int | None = None  # rows from the last tick to the last decision
    tick_ts: int | None = None  # event time of the last tick, UNIX ns
    tick_event_age: float | None = None  # s since then
    tick_age: float | None = None  # s since the broker got it
    decision_age: float | None = None  # s since the broker got the last decision
    state: str | None = None  # one of STATES
    learner: int | None = None  # version in use
    learner_published: int | None = None  # version that the feedback stage has reached
    equity: float | None = None  # currency
    position: float | None = None  # units of capital
    target: float | None = None  # after risk, units of capital
    weights: dict[str, float] = {}
    regime: str | None = None  # the most probable
    verdicts: dict[str, int] = {}  # rows of the last record at which a gate acted
    order_ts: int | None = None  # event time of the last order, UNIX ns


def books_of(settings: KafkaSettings, tails: Tails, now: float) -> list[Book]:
    """Return the present state of every book that has a record near the end of a topic, sorted by name.

    tails: the last records by topic and book; now: the present time, UNIX s.
    """
    of = {topic: tails.get(settings.topic(topic), {}) for topic in _READ}
    names = {book for topic in OF_BOOKS for book in of[topic] if book}
    return [
        _book(name, {topic.name: of[topic].get(name, []) for topic in _READ}, now) for name in sorted(names)
    ]


def _book(name: str, tails: Mapping[str, Sequence[Tail]], now: float) -> Book:
    """The state of one book from its last records by topic."""
    ticks, tick_age = _last(tails[topics.TICKS.name], Ticks, now)
    features, _ = _last(tails[topics.FEATURES.name], Features, now)
    decisions, decision_age = _last(tails[topics.DECISIONS.name], Decisions, now)
    update, _ = _last(tails[topics.LEARNER.name], LearnerUpdate, now)
    newest = tails[topics.TICKS.name][-1:]
    tick_ts = None if ticks is None else int(ticks.ts[-1])
    values: dict[str, Any] = {
        "book": name,
        "closed": any(isinstance(event_of(tail), BookClosed) for tail in newest),
        "ticks": _seq(ticks),
        "features": _seq(features),
        "proposals": _answered(tails[topics.PROPOSALS.name]),
        "decisions": _seq(decisions),
        "behind": None if ticks is None else ticks.last - (-1 if decisions is None else decisions.last),
        "tick_ts": tick_ts,
        "tick_event_age": None if tick_ts is None else now - tick_ts / 1e9,
        "tick_age": tick_age,
        "decision_age": decision_age,
        "learner_published": None if update is None else update.version,
        "regime": _regime(features),
        "order_ts": _order_ts(tails[topics.ORDERS.name]),
    }
    if decisions is not None:
        values |= {
            "state": STATES[int(decisions.state[-1])],
            "learner": int(decisions.learner[-1]),
            "equity": float(decisions.equity[-1]),
            "position": float(decisions.position[-1]),
            "target": float(decisions.target[-1]),
            "weights": dict(zip(decisions.agents, decisions.weights[-1].tolist(), strict=True)),
            "verdicts": dict(verdict_counts(decisions.verdicts)),
        }
    return Book(**values)


def _last(tails: Sequence[Tail], kind: type[E], now: float) -> tuple[E | None, float | None]:
    """The last event of type `kind`, and how many seconds ago the broker received it; None, None without one."""
    for tail in reversed(tails):
        event = event_of(tail)
        if isinstance(event, kind):
            return event, max(0.0, now - tail.written)
    return None, None


def event_of(tail: Tail) -> Event | None:
    """Return the event that a record holds, or None where it holds none; stages report those as dead letters."""
    try:
        return from_json(tail.raw)
    except WireError:
        return None


def _seq(batch: Batch | None) -> int | None:
    """The number of a batch's last row."""
    return None if batch is None else batch.last


def _answered(tails: Sequence[Tail]) -> int | None:
    """The last row for which all workers of the proposals stage, each with agents of its own, have proposed."""
    lasts: dict[tuple[str, ...], int] = {}
    for tail in tails:
        event = event_of(tail)
        if isinstance(event, Proposals):
            lasts[event.agents] = max(event.last, lasts.get(event.agents, -1))
    return min(lasts.values(), default=None)


def _regime(features: Features | None) -> str | None:
    """The most probable regime at the last row."""
    return None if features is None or features.regime is None else REGIMES[int(features.regime[-1].argmax())]


class _Ordered(msgspec.Struct):
    """The part of an order that is read: its event time."""

    ts: int


def _order_ts(tails: Sequence[Tail]) -> int | None:
    """Event time of the last order that can be read, UNIX ns."""
    for tail in reversed(tails):
        try:
            return msgspec.json.decode(tail.raw, type=_Ordered).ts
        except msgspec.MsgspecError:
            continue
    return None
