"""windvane orders: the orders on the topic, one a line, now or as they come."""

from typing import TYPE_CHECKING, Annotated

import typer

from windvane.infra.cli import options

if TYPE_CHECKING:
    from windvane.infra.kafka.tools.subscriber import OrderSubscriber, Received


def orders(
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    book: Annotated[str | None, typer.Option(help="Only this book. Default: all.")] = None,
    since: Annotated[
        str | None, typer.Option(help="First seq, or first time (ISO 8601, UTC) of the event.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for further orders.")] = False,
    until_idle: Annotated[
        float | None, typer.Option(help="Wait too, but end after so many seconds without an order.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The records themselves, one a line.")] = False,
) -> None:
    """Print the orders on the topic: those of a book by seq, each once.

    Without --follow and --until-idle it ends with what is there now. An order whose valid_until has passed is marked
    "expired" (never in --json); in a replay of history all are, since they were meant for a time long past.

    Examples:\n
      windvane orders --bootstrap 127.0.0.1:9092 --follow\n
      windvane orders --book main --since 2024-01-31 --json
    """
    import asyncio
    import logging

    from windvane.infra.kafka.broker.settings import KafkaSettings

    settings = KafkaSettings.load(bootstrap, prefix)
    from windvane.infra.kafka.tools.subscriber import OrderSubscriber

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs every attempt to connect again
    subscriber = OrderSubscriber(settings, book=book, since=since, follow=follow, until_idle=until_idle)
    code = asyncio.run(_stoppable(subscriber, as_json))
    if code:
        raise typer.Exit(code)


async def _stoppable(subscriber: "OrderSubscriber", as_json: bool) -> int:
    """Print until the end; returns the exit code, 130 where Ctrl-C or SIGTERM came first."""
    import asyncio
    import signal

    printing = asyncio.ensure_future(_print(subscriber, as_json))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, printing.cancel)
    try:
        await printing
    except asyncio.CancelledError:
        return 130
    return 0


async def _print(subscriber: "OrderSubscriber", as_json: bool) -> None:
    """Print orders as they come, until the subscriber ends or stdout is closed."""
    import os
    import sys
    from contextlib import aclosing

    try:
        async with aclosing(subscriber.batches()) as batches:
            async for batch in batches:
                _write(b"".join(r.raw + b"\n" if as_json else _line(r) for r in batch))
    except BrokenPipeError:
        # Whoever reads stdout, such as head, has closed it: what is buffered must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(lines: bytes) -> None:
    """Write bytes to stdout; where a program has replaced it by one that takes text alone, as text."""
    import sys

    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(lines.decode())
    else:
        rest = memoryview(lines)
        while rest:
            rest = rest[binary.write(rest) :]  # unbuffered (python -u), a pipe may take only a part
    sys.stdout.flush()


def _line(received: "Received") -> bytes:
    """An order as a line for a person."""
    from windvane.infra.kafka.tools.subscriber import expired

    order = received.order
    marks = [order.reason, *(["reduce-only"] if order.reduce_only else [])]
    marks += ["expired"] if expired(order) else []
    text = (
        f"{order.time}  {order.book:<12} {order.seq:>9}  {order.side:<4} {order.qty:>16.8f} {order.symbol} "
        f"@ {order.price:<14.8g} -> {order.target_after:+.4f}  {', '.join(marks)}\n"
    )
    return text.encode()
