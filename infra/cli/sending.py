"""What the sub-commands of `windvane replay` that send through Kafka share: where to, how fast, and until when."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from windvane.infra.cli import options

if TYPE_CHECKING:
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.replayer import History


@dataclass(frozen=True, slots=True)
class Sending:
    """Where a history is sent to, and how."""

    settings: "KafkaSettings"
    speed: float  # times as fast as it happened, 0: as fast as possible
    records: int  # rows a record at most
    wait: bool  # whether to return only when all rows are decided

    @classmethod
    def of(
        cls,
        bootstrap: str | None,
        prefix: str | None,
        *,
        book: str,
        speed: str,
        records: int,
        wait: bool,
    ) -> "Sending":
        """The options, checked without a broker; raises ConfigError or SettingsError for what cannot be."""
        from windvane.infra.kafka.broker.settings import KafkaSettings
        from windvane.metamodel.base.config import check

        options.check_book(book)
        settings = KafkaSettings.load(bootstrap, prefix)
        from windvane.infra.kafka.tools.replayer import speed_of  # needs the libraries that load() asks for

        check(1 <= records <= 256, f"--records is {records}: give 1 to 256 rows")
        return cls(settings, speed_of(speed), records, wait)


def send_history(sending: Sending, history: "History") -> None:
    """Send a history to its topics; exits with 130 where Ctrl-C came first, with 1 where rows stay undecided."""
    import asyncio
    import time

    from windvane.infra.kafka.tools.replayer import decided, send
    from windvane.infra.runs.progress import bar, interruptible, say

    settings, book, began = sending.settings, history.opened.book, time.monotonic()
    with interruptible() as stopping:
        with bar(f"send {book}", history.rows) as progress:
            done = asyncio.run(
                send(
                    settings,
                    history,
                    speed=sending.speed,
                    rows=sending.records,
                    progress=progress,
                    stopping=stopping,
                )
            )
        if done < history.rows:
            say(f"stopped at row {done:,} of {history.rows:,}: the same command goes on")
            raise typer.Exit(130)
        say(f"sent {history.rows:,} rows of {book} to {settings.topic('ticks')}")
        if not sending.wait:
            return
        with bar(f"decide {book}", history.rows) as progress:
            last = asyncio.run(decided(settings, book, history.rows, progress, stopping))
    if last < history.rows:
        say(f"{last:,} of {history.rows:,} rows are decided: `windvane status` tells what the rest waits for")
        raise typer.Exit(1)
    seconds = time.monotonic() - began
    say(
        f"all rows are decided: {history.rows / seconds:,.0f} ticks/s from the first sent to the last decided"
    )
