"""Other weights for a book that runs: checked here, sent to its topics, verified again by the worker that uses them."""

import asyncio
from pathlib import Path

from windvane.infra.kafka import layout
from windvane.infra.kafka.books import opening_of
from windvane.infra.kafka.ordering import Sent, order
from windvane.infra.kafka.settings import KafkaSettings
from windvane.infra.sessions.checkpoints import read
from windvane.metamodel import swapping, weights
from windvane.metamodel.config import check
from windvane.metamodel.ensemble import MetaLearningEnsembleManager
from windvane.metamodel.weights import WeightsError
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
) -> Sent:
    """Go on in a running book with other weights, from row `from_seq` on, 0: at once; returns when that is ordered.

    path: a checkpoint's folder, or a safetensors file of a whole learner or of the predictor alone. Raises WeightsError
    where the book would not use them. The rest is as with `windvane control`.
    """
    settings = KafkaSettings.load(bootstrap, prefix)
    raw = read(Path(path)).raw
    check(len(raw) <= _MOST_BYTES, f"{path} has {len(raw):,} bytes: a swap takes at most {_MOST_BYTES:,}")
    try:
        return asyncio.run(_swap(settings, book, raw, from_seq, reason))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


async def _swap(settings: KafkaSettings, book: str, raw: bytes, from_seq: int, reason: str) -> Sent:
    opened = await opening_of(settings, await layout.check(settings), book)
    if opened is None:
        weights.from_bytes(raw)  # of a book that is not open yet no more can be said
    else:
        config = opened.config
        trial = MetaLearningEnsembleManager(config.agents, config.weighing, delay=config.costs.delay)
        swapping.swap(trial, raw)
    return await order(settings, book, "swap", from_seq, reason, raw)
