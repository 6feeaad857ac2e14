"""windvane control: a person's control of a book, signed and sent; or one of a session, over its socket."""

from pathlib import Path
from typing import Annotated

import typer

from windvane.infra.cli import options
from windvane.infra.cli.idle import refuse_idle

_KAFKA = {"from_seq", "bootstrap", "prefix"}


def control(
    context: typer.Context,
    action: Annotated[
        str,
        typer.Argument(
            help="halt, reduce-only, resume, flatten, roll-back, swap, wake or retire.",
        ),
    ],
    book: Annotated[str | None, typer.Option(help="Name of the book, on Kafka.")] = None,
    session: Annotated[
        Path | None, typer.Option(help="In place of --book: the --out of a `windvane live` that runs.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the log.")] = "",
    model: Annotated[
        Path | None,
        typer.Option(help="Of a swap: safetensors of a learner or of a predictor, or a checkpoint's folder."),
    ] = None,
    agent: Annotated[str, typer.Option(help="Of wake and retire: the agent whose seat it is.")] = "",
    from_seq: Annotated[int, typer.Option(help="First row it rules; 0 is at once.")] = 0,
    wait: Annotated[float, typer.Option(help="Seconds to wait until the book obeys.")] = 30.0,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
) -> None:
    """Send a control to a book, and wait until it is in effect.

    On Kafka it is signed with WINDVANE_CONTROL_KEY, and the workers must have the same key. A session of `windvane
    live` obeys at once, and whom its socket lets write: the user that runs it. Exit code 0: it is in effect from the
    row that is named, or planned for it. Exit code 1: it is refused, or nobody has obeyed it yet, and the sentence says
    why; or there is no such book.

    A swap goes on with other weights from a row on, without missing a row; roll-back takes the last one back. Wake and
    retire are about an agent that the book has a seat for: it is listened to from a row on, or no longer.

    Examples:\n
      windvane control halt --book main --reason 'news' --bootstrap 127.0.0.1:9092\n
      windvane control swap --book main --model models/best_models --from-seq 5000\n
      windvane control flatten --session runs/live
    """
    from windvane.metamodel.base.config import ConfigError

    if (book is None) == (session is None):
        raise ConfigError("give --book, or --session of a `windvane live` that runs")
    if not 0 <= wait <= 3600:
        raise ConfigError(f"--wait is {wait:g}: give 0 to 3600 seconds")
    if (action == "swap") != (model is not None):
        raise ConfigError("give --model FILE with swap, and with nothing else")
    if (action in ("wake", "retire")) != bool(agent):
        raise ConfigError("give --agent NAME with wake or retire, and with nothing else")
    if session is not None:
        refuse_idle(context, _KAFKA, "on a session, which obeys at once and has no broker")
        obeyed = _of_session(session, action, reason, model, agent, wait)
    else:
        obeyed = _on_kafka(str(book), action, from_seq, reason, model, agent, wait, bootstrap, prefix)
    if not obeyed:
        raise typer.Exit(1)


def _of_session(session: Path, action: str, reason: str, model: Path | None, agent: str, wait: float) -> bool:
    """Send a control to a session and say what became of it; returns whether it obeys."""
    from windvane.infra.live.asking import order

    answer = order(session, action, reason, model, max(wait, 0.1), agent)
    typer.echo(answer["sentence"], err=True)
    return bool(answer["obeyed"])


def _on_kafka(
    book: str,
    action: str,
    from_seq: int,
    reason: str,
    model: Path | None,
    agent: str,
    wait: float,
    bootstrap: str | None,
    prefix: str | None,
) -> bool:
    """Send a control to its topic, wait, and say what became of it; returns whether the book obeys."""
    import asyncio

    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.kafka.tools.controls import UnknownBookError, new_control, send_control
    from windvane.infra.kafka.tools.outcomes import outcome
    from windvane.infra.kafka.tools.swapping import send_swap

    unnumbered = new_control(book, action, from_seq, reason, agent)
    settings = KafkaSettings.load(bootstrap, prefix)
    try:
        if model is None:
            sent = asyncio.run(send_control(settings, unnumbered))
        else:
            sent = send_swap(settings, unnumbered, model)
    except UnknownBookError as error:
        typer.echo(f"windvane: {error}", err=True)
        return False
    when = f"from row {from_seq:,}" if from_seq else "at once"
    typer.echo(f"control {sent.control.number} of book {book} is written: {action}, {when}", err=True)
    if sent.passes:
        earlier = ", ".join(map(str, sent.passes))
        why = "for a later row: what is not applied yet is cancelled, send it again"
        typer.echo(f"it passes control {earlier}, {why}", err=True)
    result = asyncio.run(outcome(settings, sent, wait))
    typer.echo(result.sentence, err=True)
    return result.obeyed
