"""Other weights for a book that runs: checked here, sent to its topics, verified again by the worker that uses them."""

import asyncio
from pathlib import Path

from windvane.infra.kafka.broker import layout
from windvane.infra.kafka.broker.settings import KafkaSettings
from windvane.infra.kafka.tools.books import opening_of
from windvane.infra.kafka.tools.controls import Sent, order
from windvane.infra.kafka.tools.obeying import WAIT_SECONDS, NotObeyedError, Outcome, outcome
from windvane.infra.training_sessions.checkpoints import read
from windvane.metamodel.base import weights
from windvane.metamodel.base.config import check
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning import swapping
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.streams.worker import MOST_MODEL_BYTES

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
    returns when the order is sent, whatever becomes of it. Raises WeightsError where the book would not use the
    weights, NotObeyedError where it does not within `wait`. The rest is as with `windvane control`.
    """
    settings = KafkaSettings.load(bootstrap, prefix)
    sent = send_swap(settings, path, book, from_seq, reason)
    if wait is None:
        return Outcome(sent, False, None, f"control {sent.control.number} of book {book} (swap) is sent")
    found = asyncio.run(outcome(settings, sent, wait))
    if not found.obeyed:
        raise NotObeyedError(found.sentence)
    return found


def send_swap(settings: KafkaSettings, path: str | Path, book: str, from_seq: int, reason: str) -> Sent:
    """Check weights and send them with the control that names them; raises WeightsError where they cannot be used."""
    raw = read(Path(path)).raw
    check(len(raw) <= _MOST_BYTES, f"{path} has {len(raw):,} bytes: a swap takes at most {_MOST_BYTES:,}")
    try:
        return asyncio.run(_swap(settings, book, raw, from_seq, reason))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


async def _swap(settings: KafkaSettings, book: str, raw: bytes, from_seq: int, reason: str) -> Sent:
    opened = await opening_of(settings, await layout.check(settings), book)
    if opened is None:
        weights.from_bytes(raw)  # where the opening is not kept any more, no more can be said
    else:
        config = opened.config
        trial = MetaLearningEnsembleManager(config.agents, config.weighing, delay=config.costs.delay)
        swapping.swap(trial, raw)
    return await order(settings, book, "swap", from_seq, reason, raw)
