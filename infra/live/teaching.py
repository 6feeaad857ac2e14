"""A history taught to a book: windows fill and agents are scored, and nothing is traded."""

from windvane.infra.live.book import LiveBook
from windvane.infra.live.history import Warmed
from windvane.infra.live.rows import Mark
from windvane.streams.events import Control


def teach(book: LiveBook, warmed: Warmed) -> None:
    """Send a new book its history under a halt, which the first live row ends: controls 1 and 2, recorded as any.

    A session that is killed meanwhile begins again, so no row of it has a mark of its own.
    """
    name = book.opened.book
    first = warmed.mark.seq
    book.control(_control(name, 1, "halt", 0, "history is not traded on"))
    for ticks in warmed.ticks:
        book.rows([ticks], Mark())
    book.control(_control(name, 2, "resume", first, "the first live row"))
    book.rows([], warmed.mark)


def _control(book: str, number: int, action: str, row: int, reason: str) -> Control:
    return Control(book=book, number=number, action=action, effective_from=row, reason=reason)
