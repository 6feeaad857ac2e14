"""Prints the status page once, or every two seconds."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live

from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError
from windvane.infra.runs.progress import interruptible
from windvane.infra.status.page import MOST_BOOKS, one_book, page
from windvane.infra.status.status import Status, watching
from windvane.infra.status.troubles import Limits
from windvane.infra.status.weights import last_decisions

WATCH_SECONDS = 2.0
_WIDTH = 160
"""Columns of a line where the output is no terminal: enough for a row of each table."""


class View(NamedTuple):
    """What of the status a person wants to see, and how."""

    as_json: bool = False  # a line of JSON instead of tables
    watch: bool = False  # again every two seconds until Ctrl-C
    every: bool = False  # all books, instead of the first ones
    book: str | None = None  # this one with its details


async def show(settings: KafkaSettings, limits: Limits, view: View) -> bool:
    """Print the status page, and return whether the last page had no troubles.

    Raises SettingsError where the broker cannot be reached or does not answer, or no worker knows the book.
    """
    as_json, watch = view.as_json, view.watch
    try:
        async with watching(settings) as watcher:
            if view.book is not None:
                return await _show_book(settings, await watcher.status(limits), view.book, as_json)
            with interruptible() as stopped, _screen(view) as put:
                while True:
                    status = await watcher.status(limits)
                    put(status)
                    for _ in range(int(WATCH_SECONDS * 10)):
                        if stopped() or not watch:
                            return not status.troubles
                        await asyncio.sleep(0.1)
    except (KafkaError, TimeoutError) as error:
        text = str(error) or type(error).__name__
        raise SettingsError(
            f"the broker at {settings.bootstrap} could not be asked ({text.rstrip('.')}): try again"
        ) from error


async def _show_book(settings: KafkaSettings, status: Status, name: str, as_json: bool) -> bool:
    """Print one book with its details, and return whether it has no troubles."""
    book = status.books.get(name)
    if book is None:
        known = ", ".join(status.books) or "none yet"
        raise SettingsError(f"no worker has told of a book {name}: there are {known}")
    if as_json:
        _line(msgspec.structs.replace(status, books={name: book}, troubles=[t.text for t in book.troubles]))
    else:
        _console().print(one_book(book, await last_decisions(settings, name, book.partition)))
    return not book.troubles


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


@contextmanager
def _screen(view: View) -> Iterator[Callable[[Status], None]]:
    """The function that shows a page: as a line of JSON, on the terminal's whole screen, or as text below the last."""
    if view.as_json:
        yield _line
        return
    console, most = _console(), None if view.every else MOST_BOOKS
    if not view.watch or not console.is_terminal:
        yield lambda status: console.print(page(status, most), soft_wrap=False)
        return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield lambda status: live.update(page(status, most), refresh=True)


def _line(status: Status) -> None:
    """Write a status to stdout as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(status).decode() + "\n")
    sys.stdout.flush()
