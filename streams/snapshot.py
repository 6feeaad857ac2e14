"""A stage's snapshot of one moment, copied bit by bit while the stage works on.

A book that is about to be stepped is copied before, so all books are stored as they were at one moment, and nobody
waits until hundreds of them are copied.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from windvane.agents.program import FIRST, VERSION
from windvane.streams.codec import Packed, packed, parts_of, unpack
from windvane.streams.events import BookOpened


class Saves(Protocol):
    """What of a book is stored."""

    def save(self) -> dict[str, Any]:
        """The state as arrays and JSON values."""
        ...


class Snapshot:
    """How every book was opened, and the states of the open ones, as they are when the snapshot is made.

    version: of the fields of a book's state. Its owner calls `copy` with every book before it changes.
    """

    def __init__(
        self,
        version: int,
        opened: Mapping[str, BookOpened],
        closed: Mapping[str, BookOpened],
        books: Mapping[str, Saves],
    ) -> None:
        self._left = dict(books)
        self._states: dict[str, Packed] = dict.fromkeys(books, Packed({}, b""))
        self._opened = {name: opened[name] for name in books}
        self._about = {"stage|version": version, "stage|writer": VERSION} | {
            f"closed|{name}": event for name, event in closed.items()
        }

    @property
    def copied(self) -> bool:
        """Whether every book is copied."""
        return not self._left

    def copy(self, *names: str) -> None:
        """Copy these books, unless they are copied already or were not there when the snapshot was made."""
        for name in names:
            book = self._left.pop(name, None)
            if book is not None:
                self._states[name] = packed({"opened": self._opened[name], **book.save()})

    def copy_some(self, most: int) -> bool:
        """Copy so many books at most; returns whether every book is copied."""
        self.copy(*list(self._left)[:most])
        return self.copied

    def parts(self) -> list[bytes]:
        """The snapshot as bytes in parts, to be called once, when all is copied; another thread may call it."""
        states, self._states = self._states, {}
        placed = (
            Packed({f"{place}|{name}": value for name, value in state.head.items()}, state.raw)
            for place, state in enumerate(states.values())
        )
        return parts_of([packed(self._about), *placed])


class Books(NamedTuple):
    """A stage's snapshot as it was stored."""

    version: int  # of the fields of a book's state
    writer: str  # the release that stored it
    open: list[tuple[dict[str, Any], dict[str, Any]]]  # how each was opened, and its state
    closed: list[dict[str, Any]]  # how each was opened


def load_books(snapshot: bytes) -> Books:
    """The books of a snapshot whose parts were joined, by this release or an older one."""
    books: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    closed: list[dict[str, Any]] = []
    about: dict[str, Any] = {"version": 1, "writer": FIRST}  # 0.1.0 stored neither
    for name, value in unpack(snapshot).items():
        place, key = name.split("|", 1)
        if place == "stage":
            about[key] = value
        elif place == "closed":
            closed.append(value)
        else:
            opened, state = books.setdefault(place, ({}, {}))
            if key == "opened":
                opened.update(value)
            else:
                state[key] = value
    return Books(int(about["version"]), str(about["writer"]), list(books.values()), closed)
