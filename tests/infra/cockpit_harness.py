"""A simulated book for the cockpit: the embedded pipeline as a source, with rows that are fed when a test says so."""

import contextlib
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
import numpy as np

from simulated_book import config, opening, ticks
from windvane.infra.cockpit.server import Cockpit
from windvane.infra.cockpit.source import Facts, Outcome, Press
from windvane.infra.cockpit.timeline import Timeline
from windvane.metamodel.base.config import default_stale_after
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Control, Event, Ticks, cut
from windvane.streams.topics import Topic

TOKEN = "the token of the tests, no secret".replace(" ", "-")
MINUTE = 60 * 10**9


def minutes(rows: int, book: str, seed: int = 1, end: int | None = None) -> Ticks:
    """A simulated market of minutes, the last of them at `end` (UNIX ns, None: now)."""
    last = (time.time_ns() if end is None else end) // MINUTE * MINUTE
    return msgspec.structs.replace(
        ticks(rows, seed, book), ts=last - MINUTE * np.arange(rows - 1, -1, -1, dtype=np.int64)
    )


class Simulated:
    """A source whose books run in this process: `feed` sends rows, and a control is obeyed by the next row."""

    trouble = ""
    no_control = ""

    def __init__(self, rows: Sequence[Ticks]) -> None:
        self.sent: list[Control] = []
        self.obeys = True  # False: controls are written, and no row comes that obeys them
        self._rows = {batch.book: batch for batch in rows}
        self._at = dict.fromkeys(self._rows, 0)
        self._timelines = {book: Timeline(book) for book in self._rows}
        self._runner = EmbeddedRunner(self._hear)
        settings = config(interval=MINUTE, stale_after=default_stale_after(MINUTE))
        for book in self._rows:
            self._runner.feed([opening(settings, book)])

    def _hear(self, topic: Topic, event: Event) -> None:
        self._timelines[event.book].add(event, time.time())

    def feed(self, book: str, rows: int) -> None:
        """Send the next rows of a book."""
        at = self._at[book]
        self._at[book] = at + rows
        self._runner.feed([cut(self._rows[book], at, at + rows)])

    def books(self) -> Sequence[str]:
        return list(self._timelines)

    def timeline(self, book: str) -> Timeline:
        return self._timelines[book]

    def facts(self, book: str) -> Facts:
        return Facts(lag=0)

    async def control(self, press: Press) -> Outcome:
        number = 1 + sum(one.book == press.book for one in self.sent)
        control = Control(
            book=press.book,
            number=number,
            action=press.action,
            effective_from=0,
            reason=f"{press.by}: {press.reason}",
        )
        self.sent.append(control)
        self._runner.control([control])
        if self.obeys:
            self.feed(press.book, 1)
        return self.outcome(press, Outcome(number, False, None, f"control {number} is written", False))

    def outcome(self, press: Press, sent: Outcome) -> Outcome:
        row = self.timeline(press.book).obeyed(sent.number)
        if row is None:
            return sent
        return Outcome(sent.number, True, row, f"control {sent.number} is in effect from row {row:,}", True)


@contextlib.asynccontextmanager
async def served(source: Simulated, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Cockpit]:
    async with Cockpit(source, TOKEN, host=host, port=port) as cockpit:
        yield cockpit
