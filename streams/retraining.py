"""The training of one book's predictor: which versions wait for their training, and which weights are in use.

Requests are passed on one at a time, since the training of a version starts from the weights of the version before. A
version that the log has already is not trained again: the first one in the log counts.
"""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from windvane.metamodel.base import weights
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.members import predictor
from windvane.streams.events import LearnerUpdate, TrainRequest, TrainResult
from windvane.streams.stage import Trainer

MOST_WAITING = 4
"""Most versions that wait for their training; with so many, the stage waits too."""


class Retraining:
    """Versions of one book, in order; `settled` is the last one that is decided."""

    def __init__(self, book: str, config: TradingConfig) -> None:
        self.settled = 0
        self._book = book
        self.config = config
        self._weights = b""  # in use
        self._drafts: dict[int, LearnerUpdate] = {}  # versions not decided yet, as if kept
        self._data: dict[int, bytes] = {}  # of every draft, without the weights to start from
        self._log: dict[int, LearnerUpdate] = {}  # versions from the log whose rows have not come
        self._handed = 0  # version asked for last

    @property
    def full(self) -> bool:
        """Whether no more versions may be drafted before one is decided."""
        return len(self._drafts) >= MOST_WAITING

    @property
    def idle(self) -> bool:
        """Whether no version waits for its training."""
        return not self._drafts

    def verify(self, raw: bytes) -> None:
        """Raise WeightsError where the predictor cannot use these weights."""
        predictor.load(raw, self.config.weighing.features, len(self.config.agents))

    def add_draft(self, draft: LearnerUpdate, sampled: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
        """Keep a version that waits for its training. sampled: what `samples.newest` returns."""
        self._drafts[draft.version] = draft
        self._data[draft.version] = _data(self.config, draft.version, sampled)

    def adopt(self, update: LearnerUpdate) -> None:
        """Keep a version that lies in the log: it wins over what is trained here."""
        if update.version > self.settled:
            self._log.setdefault(update.version, update)
        elif update.version == self.settled and update.outcome == "swapped":
            self._weights = weights_of(update)

    def step(self, result: TrainResult | None = None) -> Iterator[LearnerUpdate | TrainRequest]:
        """Decide versions in order; returns updates that are not in the log, and the request for the next version.

        result: of the training that was asked for, None where none has come.
        """
        while (version := self.settled + 1) in self._drafts:
            if version in self._log:
                self._settle(self._log.pop(version))
            elif result is not None and result.version == version:
                update = self._judge(self._drafts[version], result)
                self._settle(update)
                yield update
            else:
                if self._handed < version:
                    self._handed = version
                    raw = _with_weights(self._data[version], self._weights)
                    yield TrainRequest(book=self._book, version=version, raw=raw)
                return

    def trained(
        self, draft: LearnerUpdate, sampled: tuple[np.ndarray, np.ndarray, np.ndarray], trainer: Trainer
    ) -> LearnerUpdate:
        """The next version, trained; blocks until it is. For a caller without a log and without rows that go on."""
        self.add_draft(draft, sampled)
        for request in list(self.step()):
            if isinstance(request, TrainRequest):
                for update in self.step(trainer(request).result()):
                    if isinstance(update, LearnerUpdate):
                        return update
        raise ValueError(f"version {draft.version} is not the next one, {self.settled + 1}")

    def _settle(self, update: LearnerUpdate) -> None:
        self.settled = update.version
        del self._drafts[update.version], self._data[update.version]
        if update.outcome == "swapped":
            self._weights = weights_of(update)

    def _judge(self, draft: LearnerUpdate, result: TrainResult) -> LearnerUpdate:
        """The update of a trained version: swapped where its weights can be used and do not score worse, else kept."""
        tensors, about = weights.from_bytes(result.raw)
        new, old = float(about.get("score_new", "nan")), float(about.get("score_old", "nan"))
        if not (np.isfinite(new) and np.isfinite(old)):
            return draft
        draft = msgspec.structs.replace(draft, score_new=new, score_old=old)
        raw = weights.to_bytes(tensors, {})
        try:
            self.verify(raw)
        except WeightsError:
            return draft
        if new > old:
            return draft
        return msgspec.structs.replace(draft, outcome="swapped", weights=base64.b64encode(raw).decode())

    def save(self) -> dict[str, Any]:
        """Return the state as arrays and JSON values."""
        return {
            "settled": self.settled,
            "weights": _bytes(self._weights),
            "drafts": [msgspec.to_builtins(d) for d in self._drafts.values()],
            "log": [msgspec.to_builtins(u) for u in self._log.values()],
            **{f"data.{version}": _bytes(raw) for version, raw in self._data.items()},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `save` returned; a training that was asked for is asked for again."""
        self.settled, self._weights = saved["settled"], saved["weights"].tobytes()
        drafts = [msgspec.convert(d, LearnerUpdate) for d in saved["drafts"]]
        log = [msgspec.convert(u, LearnerUpdate) for u in saved["log"]]
        self._drafts, self._log = {d.version: d for d in drafts}, {u.version: u for u in log}
        self._data = {version: saved[f"data.{version}"].tobytes() for version in self._drafts}


def _bytes(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, np.uint8)


def weights_of(update: LearnerUpdate) -> bytes:
    """Return the safetensors in an update; raises WeightsError where they are not base64."""
    try:
        return base64.b64decode(update.weights, validate=True)
    except ValueError as error:
        raise WeightsError(f"not base64: {error}") from error


def _data(config: TradingConfig, version: int, sampled: tuple[np.ndarray, np.ndarray, np.ndarray]) -> bytes:
    common, own, y = sampled
    weighing = config.weighing
    about = {
        "version": version,
        "seed": config.seed,
        "fresh": weighing.meta_training_frequency,
        "batch": weighing.meta_batch_size,
        "epochs": weighing.meta_epochs,
    }
    return weights.to_bytes(
        {"common": common, "own": own, "y": y}, {name: str(value) for name, value in about.items()}
    )


def _with_weights(data: bytes, current: bytes) -> bytes:
    tensors, about = weights.from_bytes(data)
    if current:
        tensors |= weights.from_bytes(current).tensors
    return weights.to_bytes(tensors, about)
