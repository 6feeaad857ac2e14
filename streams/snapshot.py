"""A stage's snapshot of one moment, copied bit by bit while the stage works on.

A book that is about to be stepped is copied before, so all books are stored as they were at one moment, and nobody
waits until hundreds of them are copied.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from windvane.agents.program import FIRST, VERSION
from windvane.streams.codec import Packed, pack, packed, parts_of, unpack
from windvane.streams.events import BookOpened


class Saves(Protocol):
    """What of a book is stored."""

    def save(self) -> dict[str, Any]:
        """The state as arrays and JSON values."""
        ...


class Snapshot:
    """How every book was opened, and the states of the open ones, as they are when the snapshot is made.

    version: of the fields of a book's state; ends: what is remembered of closed books, JSON values; ended: their rows.
    Its owner calls `copy` with every book before it changes.
    """

    def __init__(
        self,
        version: int,
        opened: Mapping[str, BookOpened],
        closed: Mapping[str, BookOpened],
        ends: Mapping[str, Mapping[str, Any]],
        ended: Mapping[str, int],
        books: Mapping[str, Saves],
    ) -> None:
        self._left = dict(books)
        self._states: dict[str, Packed] = dict.fromkeys(books, Packed({}, b""))
        self._opened = {name: opened[name] for name in books}
        self._about = _about(version, VERSION, closed, ends) | {"stage|ended": dict(ended)}

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

    def copy_all(self) -> None:
        """Copy every book."""
        self.copy(*list(self._left))

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
    ends: dict[str, dict[str, Any]]  # what is remembered of closed ones, by book
    ended: dict[str, int]  # rows of the closed ones, where this was stored

    def to_bytes(self, *books: str) -> bytes:
        """A snapshot of these open books, and of all that are closed."""
        closed = {fields["book"]: fields for fields in self.closed}
        whole = _about(self.version, self.writer, closed, self.ends) | {"stage|ended": self.ended}
        chosen = [(opened, state) for opened, state in self.open if opened["book"] in books]
        for place, (opened, state) in enumerate(chosen):
            whole |= {f"{place}|{name}": value for name, value in {"opened": opened, **state}.items()}
        return pack(whole)


def _about(
    version: int, writer: str, closed: Mapping[str, Any], ends: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What a snapshot has besides the open books."""
    about: dict[str, Any] = {"stage|version": version, "stage|writer": writer}
    about |= {f"closed|{name}": event for name, event in closed.items()}
    return about | {f"ended|{name}": end for name, end in ends.items()}


def load_books(snapshot: bytes) -> Books:
    """The books of a snapshot whose parts were joined, by this release or an older one."""
    books: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    closed: list[dict[str, Any]] = []
    ends: dict[str, dict[str, Any]] = {}
    about: dict[str, Any] = {"version": 1, "writer": FIRST, "ended": {}}  # 0.1.0 stored none of them
    for name, value in unpack(snapshot).items():
        place, key = name.split("|", 1)
        if place == "stage":
            about[key] = value
        elif place == "closed":
            closed.append(value)
        elif place == "ended":
            ends[key] = value
        else:
            opened, state = books.setdefault(place, ({}, {}))
            if key == "opened":
                opened.update(value)
            else:
                state[key] = value
    return Books(
        int(about["version"]), str(about["writer"]), list(books.values()), closed, ends, about["ended"]
    )


def take_out(snapshot: bytes, book: str) -> tuple[bytes, bytes]:
    """A stage's snapshot without an open book, and one of that book alone; the second is empty where it is not open."""
    stored = load_books(snapshot)
    others = [fields["book"] for fields, _ in stored.open if fields["book"] != book]
    if len(others) == len(stored.open):
        return snapshot, b""
    return stored.to_bytes(*others), stored._replace(closed=[], ends={}, ended={}).to_bytes(book)
