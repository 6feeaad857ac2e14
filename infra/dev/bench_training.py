"""Measures speed and memory of training and prints one line of JSON.

`make bench` runs it in a process of its own, so that the peak memory is that of training alone.
"""

import gc
import json
import math
import resource
import sys
import tempfile
import time

import numpy as np

from windvane.infra.runs.configuration import create_meta_learning_config
from windvane.infra.training.trainer import ChildTrainer
from windvane.infra.training_sessions.trainer import MetaLearningEnsembleTrainer
from windvane.metamodel.base import weights
from windvane.metamodel.base.config import WeighingConfig
from windvane.metamodel.learning.members import predictor
from windvane.streams.events import TrainRequest

_AGENTS, _VERSIONS, _MANY, _EPISODES, _STEPS = 6, 20, 2_000, 10, 5_000


def _request(version: int, epochs: int) -> TrainRequest:
    """A request to train on random samples of six agents, as many as the presets keep."""
    w, rng = WeighingConfig(), np.random.default_rng(version)
    tensors = {
        "common": rng.standard_normal((w.meta_lookback, w.features + predictor.REGIMES)),
        "own": rng.standard_normal((w.meta_lookback, _AGENTS, predictor.OWN)),
        "y": 0.1 * rng.standard_normal((w.meta_lookback, _AGENTS)),
    }
    about = {
        "version": version,
        "seed": 0,
        "fresh": w.meta_training_frequency,
        "batch": w.meta_batch_size,
        "epochs": epochs,
    }
    raw = weights.to_bytes(
        {name: value.astype(np.float32) for name, value in tensors.items()},
        {name: str(value) for name, value in about.items()},
    )
    return TrainRequest(book="bench", version=version, raw=raw)


def measure() -> dict[str, float]:
    """Measure training, and return the figures by name.

    They are steps of the predictor a second, ms to train a version, ticks of a session's episodes a second, and the
    peak memory in MB of this process and of the trainer's.
    """
    w = WeighingConfig()
    trainer = ChildTrainer()
    trainer(_request(0, w.meta_epochs)).result()  # imports torch, which is not measured
    began = time.monotonic()
    for version in range(1, _VERSIONS + 1):
        trainer(_request(version, w.meta_epochs)).result()
    version_ms = 1e3 * (time.monotonic() - began) / _VERSIONS
    began = time.monotonic()
    trainer(_request(1, _MANY)).result()
    steps = math.ceil(_MANY * w.meta_training_frequency / w.meta_batch_size)
    predictor_steps = steps / (time.monotonic() - began)
    trainer.close()
    with tempfile.TemporaryDirectory() as folder:
        # An episode has enough steps that the predictor is retrained after each.
        config = create_meta_learning_config("balanced", {"max_steps": _STEPS})
        session = MetaLearningEnsembleTrainer(config, "bench", folder)
        session.train_episode(0)  # compiles kernels and imports torch, which is not measured
        before = session.training_stats["total_steps"]
        began = time.monotonic()
        for episode in range(1, _EPISODES + 1):
            session.train_episode(episode)
        episode_steps = (session.training_stats["total_steps"] - before) / (time.monotonic() - began)
        del session  # ends its trainer's process, whose memory the system reports only after its end
        gc.collect()
    return {
        "predictor_steps_per_second": predictor_steps,
        "version_ms": version_ms,
        "episode_steps_per_second": episode_steps,
        "parent_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "child_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
