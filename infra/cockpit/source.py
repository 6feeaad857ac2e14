"""Where a cockpit gets its books from, and what it may order of them: a protocol with two implementations."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from windvane.agents.errors import WindvaneError
from windvane.infra.cockpit.timeline import Timeline

ACTIONS = ("halt", "reduce-only", "resume", "flatten")
"""What the page has buttons for."""


class CockpitError(WindvaneError):
    """What the cockpit refuses; one sentence that says why, and what to do."""


class Press(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One press of a button."""

    action: str  # of ACTIONS
    book: str
    by: str  # who pressed
    reason: str = ""
    nonce: str = ""  # the same for a press that is sent again


def story(press: Press) -> str:
    """Who pressed and why, as the control records it."""
    return f"{press.by.strip()}: {press.reason}" if press.reason else press.by.strip()


class Outcome(NamedTuple):
    """What became of a press."""

    number: int  # of the control
    obeyed: bool  # whether a decision has obeyed it
    row: int | None  # seq of the first row that it rules, None where none has yet
    sentence: str  # for a person
    final: bool  # False: it is sent, and more may become of it


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a source knows of a book beside its events; a field is None where it does not know."""

    troubles: Sequence[str] = ()  # sentences, each with what to do
    lag: int | None = None  # rows that have come and are not decided
    age_seconds: float | None = None  # of the market's data, where rows are not all that comes
    flattening: bool = False  # whether a halted book still closes its position


class Source(Protocol):
    """The books that a page shows; everything is called in the event loop of the server."""

    @property
    def trouble(self) -> str:
        """What is wrong with the source as a whole, "" where nothing is."""

    @property
    def no_control(self) -> str:
        """Why nothing can be ordered through this source, "" where it can."""

    def books(self) -> Sequence[str]:
        """Names of all books, in the order to show them."""

    def timeline(self, book: str) -> Timeline:
        """The history of a book; raises KeyError where there is none of that name."""

    def facts(self, book: str) -> Facts:
        """What is known of a book beside its history."""

    async def control(self, press: Press) -> Outcome:
        """Send one control; raises WindvaneError where it cannot be sent."""

    def outcome(self, press: Press, sent: Outcome) -> Outcome:
        """What has become since of a control that was sent, and was not final."""


def check_press(press: Press, books: Sequence[str]) -> None:
    """Raise CockpitError for a press that no book would obey."""
    for sound, sentence in (
        (press.action in ACTIONS, f"action is {press.action!r}: give one of {', '.join(ACTIONS)}"),
        (
            press.book in books,
            f"there is no book {press.book!r}: there are {', '.join(books[:20]) or 'none yet'}",
        ),
        (press.by.strip() != "", "by is empty: say who orders it"),
        (len(press.by) <= 60 and press.by.isprintable(), "by is no name: give at most 60 letters"),
        (
            len(press.reason) <= 500 and press.reason.isprintable(),
            "reason is no line: give at most 500 letters",
        ),
        (len(press.nonce) <= 100, f"nonce has {len(press.nonce)} characters: give at most 100"),
    ):
        if not sound:
            raise CockpitError(sentence)
