"""Trains the performance predictors, all agents in one batched model. Imported by the trainer's process only.

Adam with decoupled weight decay (Loshchilov and Hutter 2019) on the mean squared error, from the weights in use. The
newest samples are not trained on: on them the new weights and those in use are compared, which neither has seen.
"""

import math

import numpy as np
import torch

from windvane.metamodel.base import weights
from windvane.metamodel.learning.members.predictor import HIDDEN, PARTS, SCALE

RATE = 3e-4
DECAY = 0.03


def train(raw: bytes) -> bytes:
    """A TrainRequest's bytes in, a TrainResult's out; one thread, so that the same bytes give the same."""
    tensors, about = weights.from_bytes(raw)
    version, fresh, batch = int(about["version"]), int(about["fresh"]), int(about["batch"])
    x, y = _columns(tensors)
    samples = y.shape[1]
    newest = min(fresh, samples // 4)
    rows = samples - newest
    if rows < 1 or newest < 1:
        return weights.to_bytes({}, {"samples": str(samples)})
    draw = torch.Generator().manual_seed((int(about["seed"]) * 1_000_003 + version) % 2**63)
    start = _start(tensors, x.shape[0], x.shape[2], draw)
    held_x, held_y = x[:, rows:], y[:, rows:]
    old = _error(start, held_x, held_y) if "w1" in tensors else float((held_y**2).mean())
    layers = [part.clone().requires_grad_() for part in start]
    optimiser = torch.optim.AdamW(layers, lr=RATE, weight_decay=DECAY, fused=True)
    steps = math.ceil(int(about["epochs"]) * min(fresh, rows) / batch)
    for _ in range(steps):
        at = torch.randint(0, rows, (batch,), generator=draw)
        loss = ((_forward(layers, x[:, at]) - y[:, at]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    trained = [part.detach().to(torch.float16) for part in layers]
    new = _error([part.float() for part in trained], held_x, held_y)
    return weights.to_bytes(
        {name: part.numpy() for name, part in zip(PARTS, trained, strict=True)},
        {"score_new": repr(new), "score_old": repr(old), "samples": str(samples)},
    )


def forward(tensors: dict[str, np.ndarray], common: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Predicted mean scores (N, B) from common (B, G + 7) and own (B, N, 5), as the kernel gives them."""
    x, _ = _columns({"common": common, "own": own, "y": np.zeros(own.shape[:2], np.float32)})
    with torch.no_grad():
        said = _forward([torch.from_numpy(tensors[name].astype(np.float32)) for name in PARTS], x)
    return np.asarray(said.numpy() / SCALE)


def _columns(tensors: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Regressors (N, n, D) and scaled targets (N, n)."""
    own = np.moveaxis(tensors["own"], 1, 0)
    common = np.broadcast_to(tensors["common"], (len(own), *tensors["common"].shape))
    x = np.ascontiguousarray(np.concatenate([common, own], axis=2), np.float32)
    return torch.tensor(x), torch.tensor(np.ascontiguousarray(tensors["y"].T, np.float32) * SCALE)


def _start(
    tensors: dict[str, np.ndarray], agents: int, inputs: int, draw: torch.Generator
) -> list[torch.Tensor]:
    """The weights in use, or those of a network that says 0."""
    if "w1" in tensors:
        return [torch.tensor(tensors[name].astype(np.float32)) for name in PARTS]
    first, second = HIDDEN
    return [
        _normal((agents, inputs, first), math.sqrt(1.0 / inputs), draw),
        torch.zeros(agents, first),
        _normal((agents, first, second), math.sqrt(2.0 / first), draw),
        torch.zeros(agents, second),
        torch.zeros(agents, second),
        torch.zeros(agents),
    ]


def _normal(shape: tuple[int, ...], deviation: float, draw: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=draw) * deviation


def _forward(layers: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """What the networks say, (N, B), for x (N, B, D)."""
    w1, b1, w2, b2, w3, b3 = layers
    h = torch.baddbmm(b1[:, None], x, w1).relu()
    h = torch.baddbmm(b2[:, None], h, w2).relu()
    return torch.baddbmm(b3[:, None, None], h, w3[:, :, None])[:, :, 0]


def _error(layers: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float(((_forward(layers, x) - y) ** 2).mean())
