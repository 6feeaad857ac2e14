"""A history taught to a book: windows fill and agents are scored, and nothing is traded."""

from windvane.infra.live.book import LiveBook
from windvane.infra.live.history import Warmed
from windvane.infra.live.rows import Mark
from windvane.infra.live.taking_over import take_over
from windvane.streams.events import Control


def teach(book: LiveBook, warmed: Warmed, learned: bytes = b"") -> None:
    """Send a new book its history under a halt, which the first live row ends: controls that are recorded as any.

    learned: what another run has learned, which takes the place of what the history taught at its last row.
    A session that is killed meanwhile begins again, so no row of it has a mark of its own.
    """
    first = warmed.mark.seq
    book.control(_control(book, "halt", 0, "history is not traded on"))
    if learned:
        take_over(book, learned, first - 1)
    for ticks in warmed.ticks:
        book.rows([ticks], Mark())
    book.control(_control(book, "resume", first, "the first live row"))
    book.rows([], warmed.mark)


def _control(book: LiveBook, action: str, row: int, reason: str) -> Control:
    number = book.control_number + 1
    return Control(book=book.opened.book, number=number, action=action, effective_from=row, reason=reason)
