"""windvane control: a person's order to a book, signed."""

from pathlib import Path
from typing import Annotated

import typer

from windvane.infra.cli import options


def control(
    action: Annotated[str, typer.Argument(help="halt, reduce-only, resume, flatten, roll-back or swap.")],
    book: Annotated[str, typer.Option(help="Name of the book.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the log.")] = "",
    model: Annotated[
        Path | None,
        typer.Option(help="Of a swap: safetensors of a learner or of a predictor, or a checkpoint's folder."),
    ] = None,
    from_seq: Annotated[int, typer.Option(help="First row it rules; 0 is at once.")] = 0,
    wait: Annotated[float, typer.Option(help="Seconds to wait until the book obeys.")] = 30.0,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
) -> None:
    """Send a control to a book, and wait until it is in effect; it is signed with WINDVANE_CONTROL_KEY.

    The workers must have the same key. Exit code 0: it is in effect from the row that is named, or planned for it.
    Exit code 1: it is refused, or nobody has obeyed it yet, and the sentence says why; or there is no such book.

    A swap goes on with other weights from a row on, without missing a row; roll-back takes the last one back.

    Examples:\n
      windvane control halt --book main --reason 'news' --bootstrap 127.0.0.1:9092\n
      windvane control swap --book main --model models/best_models --from-seq 5000
    """
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.controls import order
    from windvane.infra.kafka.tools.obeying import outcome
    from windvane.infra.kafka.tools.standing import UnknownBookError
    from windvane.infra.kafka.tools.swapping import send_swap
    from windvane.infra.runs.progress import say
    from windvane.metamodel.base.config import check
    from windvane.metamodel.trading.control import CONTROLS

    check(action in CONTROLS, f"the control is {action!r}: give one of {', '.join(CONTROLS)}")
    check(book not in ("", ".", "..") and "/" not in book, f"--book is {book!r}: give a name without slashes")
    check(0 <= from_seq < 2**53, f"--from-seq is {from_seq}: give a row's number, or 0 for at once")
    check(0 <= wait <= 3600, f"--wait is {wait:g}: give 0 to 3600 seconds")
    check(len(reason) <= 1000, f"--reason has {len(reason)} characters: give at most 1000")
    check((action == "swap") == (model is not None), "give --model FILE with swap, and with nothing else")
    settings = KafkaSettings.load(bootstrap, prefix)
    try:
        if model is None:
            sent = asyncio.run(order(settings, book, action, from_seq, reason))
        else:
            sent = send_swap(settings, model, book, from_seq, reason)
    except UnknownBookError as error:
        say(f"windvane: {error}")
        raise typer.Exit(1) from error
    when = f"from row {from_seq:,}" if from_seq else "at once"
    say(f"control {sent.control.number} of book {book} is written: {action}, {when}")
    if sent.passes:
        earlier = ", ".join(map(str, sent.passes))
        say(
            f"it passes control {earlier}, for a later row: what is not applied yet is cancelled, send it again"
        )
    found = asyncio.run(outcome(settings, sent, wait))
    say(found.sentence)
    if not found.obeyed:
        raise typer.Exit(1)
