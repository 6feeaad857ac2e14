"""windvane control: a person's order to a book, signed."""

from typing import Annotated

import typer

from windvane.infra.commands.topics import Bootstrap, Prefix


def control(
    action: Annotated[str, typer.Argument(help="halt, reduce-only, resume or flatten.")],
    book: Annotated[str, typer.Option(help="Name of the book.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the log.")] = "",
    from_seq: Annotated[int, typer.Option(help="First row it rules; 0 is at once.")] = 0,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Send a control to a book; it is signed with WINDVANE_CONTROL_KEY, which the workers must have too.

    Example:\n
      windvane control halt --book main --reason 'news' --bootstrap 127.0.0.1:9092
    """
    import asyncio

    from windvane.infra.kafka.ordering import order
    from windvane.infra.kafka.settings import KafkaSettings
    from windvane.infra.progress import say
    from windvane.metamodel.config import check
    from windvane.metamodel.control import CONTROLS

    check(action in CONTROLS, f"the control is {action!r}: give one of {', '.join(CONTROLS)}")
    check(book not in ("", ".", "..") and "/" not in book, f"--book is {book!r}: give a name without slashes")
    check(0 <= from_seq < 2**53, f"--from-seq is {from_seq}: give a row's number, or 0 for at once")
    check(len(reason) <= 1000, f"--reason has {len(reason)} characters: give at most 1000")
    settings = KafkaSettings.load(bootstrap, prefix)
    sent = asyncio.run(order(settings, book, action, from_seq, reason))
    when = f"from row {from_seq:,}" if from_seq else "at once"
    say(f"sent control {sent.control.number} to book {book}: {action}, {when}")
    if sent.waits_for is not None:
        early = sent.waits_for
        say(f"it is applied after control {early.number}, which waits for row {early.effective_from:,}")
