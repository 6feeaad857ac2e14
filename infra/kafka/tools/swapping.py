"""Swaps the weights of a running book: checks them, sends them to its topics, and waits until its worker uses them."""

import asyncio
from pathlib import Path

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.books import opening_of
from windvane.infra.kafka.tools.controls import Sent, new_control, send_control
from windvane.infra.kafka.tools.outcomes import WAIT_SECONDS, NotObeyedError, Outcome, outcome
from windvane.infra.training_sessions.checkpoints import Checkpoint, read
from windvane.metamodel.base import weights
from windvane.metamodel.base.config import check
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import swapping
from windvane.metamodel.trading.ensemble import manager_of
from windvane.streams.checks import MOST_MODEL_BYTES
from windvane.streams.events import Control

_MOST_BYTES = (MOST_MODEL_BYTES - 10_000) // 4 * 3
"""Of the weights: base64 makes four bytes of three, and there is a little around them."""


def load_meta_models(
    path: str | Path,
    *,
    book: str,
    bootstrap: str | None = None,
    prefix: str | None = None,
    from_seq: int = 0,
    reason: str = "",
    wait: float | None = WAIT_SECONDS,
) -> Outcome:
    """Go on in a running book with other weights, from row `from_seq` on, 0: at once; returns when the book obeys.

    path: a checkpoint's folder, or a safetensors file of a whole learner or of the predictor alone. wait: seconds; None
    returns when the control is sent, whatever becomes of it. Raises WeightsError where the book would not use the
    weights, NotObeyedError where it does not within `wait`. The rest is as with `windvane control`.
    """
    control = new_control(book, "swap", from_seq, reason)
    settings = KafkaSettings.load(bootstrap, prefix)
    sent = send_swap(settings, control, path)
    if wait is None:
        return Outcome(sent, False, None, f"control {sent.control.number} of book {book} (swap) is sent")
    result = asyncio.run(outcome(settings, sent, wait))
    if not result.obeyed:
        raise NotObeyedError(result.sentence)
    return result


def send_swap(settings: KafkaSettings, control: Control, path: str | Path) -> Sent:
    """Check the weights of a file and send them with the swap that names them.

    Raises WeightsError where the book could not use them, and what `send_control` raises.
    """
    checkpoint = read(Path(path))
    raw = checkpoint.raw
    check(len(raw) <= _MOST_BYTES, f"{path} has {len(raw):,} bytes: a swap takes at most {_MOST_BYTES:,}")
    try:
        return asyncio.run(_send(settings, control, checkpoint))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


async def _send(settings: KafkaSettings, control: Control, checkpoint: Checkpoint) -> Sent:
    raw = checkpoint.raw
    opened = await opening_of(settings, await layout.check(settings), control.book)
    if opened is None:
        weights.from_bytes(raw)  # where the opening is not kept any more, no more can be said
    else:
        config = opened.config
        checkpoint.refuse_strangers(control.book, config)
        trial = manager_of(config)
        swapping.swap(trial, raw)
    return await send_control(settings, control, raw)
