"""What the page is told: the state of all books, and the rows that are new, as bytes that all browsers share."""

import time
from typing import Any

import orjson

from windvane.infra.cockpit.history import history
from windvane.infra.cockpit.present import state
from windvane.infra.cockpit.source import Source
from windvane.metamodel.base.account import REASONS
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.learning.members import MEMBERS
from windvane.metamodel.trading.control import STATES
from windvane.metamodel.trading.risk import GATES, Gate

_BRIEF = ("state", "position", "equity", "today", "age_seconds", "old_after", "symbol", "price", "troubles")
WORDS = {
    "states": STATES,
    "gates": GATES,
    "gate_texts": [gate.does for gate in Gate],
    "regimes": REGIMES,
    "members": MEMBERS,
    "reasons": REASONS,
}
"""The names behind numbers and columns, in their order."""


def encoded(value: Any) -> bytes:
    """JSON, with arrays as lists and NaN as null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def state_of(source: Source, book: str) -> dict[str, Any]:
    """All that is known of one book at this moment."""
    facts = source.facts(book)
    told = state(source.timeline(book), time.time())
    told |= {"troubles": list(facts.troubles), "lag": facts.lag}
    if facts.age_seconds is not None:
        told["age_seconds"] = facts.age_seconds
    if facts.flattening and told["state"] == STATES[2]:
        told["state"] = "flattening"
    return told


def all_states(source: Source) -> dict[str, Any]:
    """The answer to /api/state."""
    return {
        "time": time.time(),
        "trouble": source.trouble,
        "no_control": source.no_control,
        "books": {book: state_of(source, book) for book in source.books()},
    }


def brief(source: Source) -> dict[str, Any]:
    """What every message begins with: the state of the source, and a few fields of every book."""
    books = {}
    for book in source.books():
        told = state_of(source, book)
        books[book] = {name: told.get(name) for name in _BRIEF}
    return {"time": time.time(), "trouble": source.trouble, "no_control": source.no_control, "books": books}


class News:
    """The rows of one book that are new since the last look."""

    def __init__(self, source: Source, book: str) -> None:
        timeline = source.timeline(book)
        self._source, self._timeline = source, timeline
        self._seq, self._mark = timeline.last_seq, timeline.last_mark

    def take(self) -> dict[str, Any]:
        """State and new rows of the book; `since` is the seq that the rows follow."""
        timeline, since = self._timeline, self._seq
        told = {"book": timeline.book, "since": since, "state": state_of(self._source, timeline.book)}
        if (timeline.last_seq, timeline.last_mark) != (since, self._mark):
            told["news"] = history(timeline, since, marks=self._mark)
        self._seq, self._mark = timeline.last_seq, timeline.last_mark
        return told
