"""A simulated book for the cockpit: the embedded pipeline as a source, with rows that are fed when a test says so."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Self, TypeVar

import msgspec
import numpy as np

from simulated_book import config, opening, ticks
from windvane.infra.cockpit.server import Cockpit
from windvane.infra.cockpit.source import Facts, Outcome, Press, story
from windvane.infra.cockpit.timeline import Timeline
from windvane.metamodel.base.config import default_stale_after
from windvane.streams.embedded import EmbeddedRunner
from windvane.streams.events import Control, Event, Ticks, cut
from windvane.streams.topics import Topic

T = TypeVar("T")
TOKEN = "the-token-of-the-tests-no-secret"  # noqa: S105
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
            reason=story(press),
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


class Running:
    """A cockpit in a thread of its own, for tests that block. `call` runs something between two of its steps."""

    def __init__(self, source: Simulated, host: str = "127.0.0.1", port: int = 0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.cockpit = Cockpit(source, TOKEN, host=host, port=port)

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait(self.cockpit.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self.wait(self.cockpit.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return self.cockpit.url

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def call(self, work: Callable[..., T], *words: object) -> T:
        async def inside() -> T:
            return work(*words)

        return self.wait(inside())


async def _serve(port: int) -> None:
    source = Simulated([minutes(900, "main")])
    source.feed("main", 700)
    async with Cockpit(source, TOKEN, port=port) as cockpit:
        sys.stdout.write(f"{cockpit.url}\n")
        sys.stdout.flush()
        await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
