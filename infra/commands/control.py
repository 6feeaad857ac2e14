"""windvane control: a person's order to a book, signed."""

from pathlib import Path
from typing import Annotated

import typer

from windvane.infra.commands.topics import Bootstrap, Prefix


def control(
    action: Annotated[str, typer.Argument(help="halt, reduce-only, resume, flatten, roll-back or swap.")],
    book: Annotated[str, typer.Option(help="Name of the book.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the log.")] = "",
    model: Annotated[
        Path | None,
        typer.Option(help="Of a swap: safetensors of a learner or of a predictor, or a checkpoint's folder."),
    ] = None,
    from_seq: Annotated[int, typer.Option(help="First row it rules; 0 is at once.")] = 0,
    bootstrap: Bootstrap = None,
    prefix: Prefix = None,
) -> None:
    """Send a control to a book; it is signed with WINDVANE_CONTROL_KEY, which the workers must have too.

    A swap goes on with other weights from a row on, without missing a row; roll-back takes the last one back.

    Examples:\n
      windvane control halt --book main --reason 'news' --bootstrap 127.0.0.1:9092\n
      windvane control swap --book main --model models/best_models --from-seq 5000
    """
    import asyncio

    from windvane.infra.kafka.ordering import order
    from windvane.infra.kafka.settings import KafkaSettings
    from windvane.infra.kafka.swapping import load_meta_models
    from windvane.infra.progress import say
    from windvane.metamodel.config import check
    from windvane.metamodel.control import CONTROLS

    check(action in CONTROLS, f"the control is {action!r}: give one of {', '.join(CONTROLS)}")
    check(book not in ("", ".", "..") and "/" not in book, f"--book is {book!r}: give a name without slashes")
    check(0 <= from_seq < 2**53, f"--from-seq is {from_seq}: give a row's number, or 0 for at once")
    check(len(reason) <= 1000, f"--reason has {len(reason)} characters: give at most 1000")
    check((action == "swap") == (model is not None), "give --model FILE with swap, and with nothing else")
    if model is None:
        sent = asyncio.run(order(KafkaSettings.load(bootstrap, prefix), book, action, from_seq, reason))
    else:
        sent = load_meta_models(
            model, book=book, bootstrap=bootstrap, prefix=prefix, from_seq=from_seq, reason=reason
        )
    when = f"from row {from_seq:,}" if from_seq else "at once"
    say(f"sent control {sent.control.number} to book {book}: {action}, {when}")
    if sent.passes:
        earlier = ", ".join(map(str, sent.passes))
        say(
            f"it passes control {earlier}, for a later row: what is not applied yet is cancelled, send it again"
        )
