"""Prints the status page once, or every two seconds."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live

from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError
from windvane.infra.runs.progress import interruptible
from windvane.infra.status.page import page
from windvane.infra.status.status import Limits, Status, watching

WATCH_SECONDS = 2.0
_WIDTH = 160
"""Columns of a line where the output is no terminal: enough for a row of each table."""


async def show(settings: KafkaSettings, limits: Limits, as_json: bool, watch: bool) -> bool:
    """Print the status page, and return whether the last page had no troubles.

    as_json: a line of JSON instead of tables; watch: go on every two seconds until Ctrl-C. Raises SettingsError where
    the broker cannot be reached or does not answer.
    """
    try:
        async with watching(settings) as watcher:
            with interruptible() as stopped, _screen(as_json, watch) as put:
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


@contextmanager
def _screen(as_json: bool, watch: bool) -> Iterator[Callable[[Status], None]]:
    """The function that shows a page: as a line of JSON, on the terminal's whole screen, or as text below the last."""
    if as_json:
        yield _line
        return
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    if not watch or not console.is_terminal:
        yield lambda status: console.print(page(status))
        return
    with Live(console=console, auto_refresh=False, screen=True) as live:
        yield lambda status: live.update(page(status), refresh=True)


def _line(status: Status) -> None:
    """Write a status to stdout as one line of JSON."""
    sys.stdout.write(msgspec.json.encode(status).decode() + "\n")
    sys.stdout.flush()
