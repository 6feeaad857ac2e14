"""What a person should know of a book, or of a whole partition, while a stage works on: nothing stops in silence."""

from collections.abc import Mapping
from typing import NamedTuple


class Trouble(NamedTuple):
    """Why a book does not go on as it should."""

    code: str  # one of CODES
    text: str  # one sentence that says what is wrong and what to do


CODES = (
    "hole",
    "feed_restarted",
    "name_used_again",
    "stopped",
    "no_proposals",
    "waiting",
    "opening_lost",
    "not_stored",
    "restarting",
)
"""Every code of a trouble, by which metrics count them. A meaning never changes; further ones are added at the end."""

Troubles = Mapping[str, Trouble]
"""By book; of the book "" where it is about the whole partition."""


class Lasting(NamedTuple):
    """What is a trouble only once it has lasted; the runner has the clock that says so."""

    mark: int  # another number says that it began anew, such as the seq of the row that waits
    trouble: Trouble


class Refused:
    """Troubles with records that are refused one after the other: each is told of once, however many records come."""

    def __init__(self) -> None:
        self._standing: dict[str, Trouble] = {}  # by book
        self._renewed: set[str] = set()  # books of which a record was refused since the last `calm`

    def add(self, book: str, trouble: Trouble) -> bool:
        """Note that a record was refused; returns whether that is new, so that a dead letter is due."""
        new = self._standing.get(book, trouble).code != trouble.code or book not in self._standing
        self._standing[book] = trouble if new else self._standing[book]
        self._renewed.add(book)
        return new

    def calm(self) -> None:
        """Forget the troubles with books of which no record was refused since the last call."""
        self._standing = {book: told for book, told in self._standing.items() if book in self._renewed}
        self._renewed = set()

    @property
    def troubles(self) -> Troubles:
        """Those that stand, by book."""
        return self._standing
