"""What a stage says of each of its books to people: how far it is, and what the ensemble holds and obeys.

A stage makes these from its state at any time, also right after a restart, so a book is told of however silent it is.
On the wire a summary is an array, since a partition may have thousands of books: fields are only ever appended.
"""

from collections.abc import Mapping

import msgspec

from windvane.metamodel.trading.control import STATES
from windvane.metamodel.trading.ensemble import Present
from windvane.metamodel.trading.risk import HALTED
from windvane.streams.events import BookOpened

FLATTENING = "flattening"
"""The state of a book that is halted and still closes its position."""

STATES_TOLD = (*STATES, FLATTENING)
"""All words for the state of a book that trades."""

UNKNOWN = -1
"""Rows of a closed book that an earlier version closed, which did not store their number."""

_DIGITS = 16


class Trading(msgspec.Struct, frozen=True, array_like=True):
    """What the ensemble knows of a book as of its last row."""

    state: str  # one of STATES_TOLD
    control: int  # number of the last control obeyed, 0 where none was
    action: str  # of that control; "" where none was, or where an earlier version obeyed it
    control_row: int  # seq of the first row that it ruled, -1 where none was
    learner: int  # version in use, 0 before the first
    model: str  # SHA-256 of the weights that a person swapped in and that are in use; "": the book's own
    position: float  # units of capital
    equity: float  # currency
    day: float  # currency, earned since the UTC day began
    verdict: int | None = None  # bits of the gates that acted at the last row; None: no row since the restart


class BookSummary(msgspec.Struct, frozen=True, array_like=True):
    """One book of one stage."""

    book: str
    settings: str  # key of its settings, of `key_of`
    rows: int  # worked off: the next one has this seq; of a closed book all that it had, or UNKNOWN
    reached: int  # of the features stage: seq after the highest row received; else `rows`
    ts: int  # event time of the last row, UNIX ns; 0 where the stage does not know it
    closed: bool = False
    trading: Trading | None = None  # of the ensemble's open books


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """The part of a book's settings that people ask for; books with the same settings share one."""

    digest: str
    symbol: str
    agents: tuple[str, ...]
    closing: str  # lockstep or timed
    capital: float  # currency
    remote: tuple[str, ...] = ()  # those of the agents that no worker runs


def key_of(opened: BookOpened) -> str:
    """The key of a book's settings among those of a partition: the first digits of their digest."""
    return opened.digest[:_DIGITS]


def opening_of(opened: BookOpened) -> Opening:
    """The part of a book's settings that people ask for."""
    config = opened.config
    return Opening(
        opened.digest, config.symbol, config.agents, config.closing, config.capital, config.remote_agents
    )


def closed_summary(opened: BookOpened, ended: Mapping[str, int]) -> BookSummary:
    """The summary of a closed book; ended: rows of the closed books, where they are known."""
    rows = ended.get(opened.book, UNKNOWN)
    return BookSummary(opened.book, key_of(opened), rows, rows, 0, closed=True)


def state_of(present: Present) -> str:
    """The word for what an account may do."""
    flattening = present.state == HALTED and present.flattening
    return FLATTENING if flattening else STATES[present.state]
