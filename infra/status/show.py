"""Prints the status page, once or again and again."""

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
"""Where no terminal says how wide it is, a line must hold a row."""


async def show(settings: KafkaSettings, limits: Limits, as_json: bool, watch: bool) -> bool:
    """Print; whether the last page was healthy. Raises SettingsError where the broker cannot be asked."""
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
        said = str(error) or type(error).__name__
        raise SettingsError(
            f"the broker at {settings.bootstrap} could not be asked ({said.rstrip('.')}): try again"
        ) from error


@contextmanager
def _screen(as_json: bool, watch: bool) -> Iterator[Callable[[Status], None]]:
    """Where pages go: lines of JSON, the terminal's whole screen, or text one after the other."""
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
    sys.stdout.write(msgspec.json.encode(status).decode() + "\n")
    sys.stdout.flush()
