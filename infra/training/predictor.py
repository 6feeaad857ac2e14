"""Trains the networks that predict the agents' scores, all agents in one batched model; imported by `child` only.

The optimiser is Adam with decoupled weight decay (Loshchilov and Hutter 2019) on the mean squared error. It starts from
the weights in use. The newest samples are a test set that neither the new weights nor those in use were trained on; the
errors of both on it are returned, so that the caller can keep the better one.
"""

import math

import numpy as np
import torch

from windvane.metamodel.base import weights
from windvane.metamodel.learning.members.predictor import HIDDEN, PARTS, SCALE

RATE = 3e-4
DECAY = 0.03


def train(raw: bytes) -> bytes:
    """Train once: take the bytes of a TrainRequest and return those of a TrainResult, both safetensors.

    With torch on one thread, the same request returns the same bytes on one type of CPU. The result is without tensors
    where there are too few samples to train and to test.
    """
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
    test_x, test_y = x[:, rows:], y[:, rows:]
    old = _error(start, test_x, test_y) if "w1" in tensors else float((test_y**2).mean())
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
    new = _error([part.float() for part in trained], test_x, test_y)
    return weights.to_bytes(
        {name: part.numpy() for name, part in zip(PARTS, trained, strict=True)},
        {"score_new": repr(new), "score_old": repr(old), "samples": str(samples)},
    )


def forward(tensors: dict[str, np.ndarray], common: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return the scores (N, B) that torch predicts for B samples and N agents; tests compare the kernel with it.

    tensors: weights by their names in `PARTS`; common: (B, G + 7) inputs that all agents share, G features and the
    posterior of the regimes; own: (B, N, 5) inputs of each agent.
    """
    x, _ = _columns({"common": common, "own": own, "y": np.zeros(own.shape[:2], np.float32)})
    with torch.no_grad():
        output = _forward([torch.from_numpy(tensors[name].astype(np.float32)) for name in PARTS], x)
    return np.asarray(output.numpy() / SCALE)


def _columns(tensors: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs (N, n, D) and scaled targets (N, n) of N agents and n samples, from the tensors of a request."""
    own = np.moveaxis(tensors["own"], 1, 0)
    common = np.broadcast_to(tensors["common"], (len(own), *tensors["common"].shape))
    x = np.ascontiguousarray(np.concatenate([common, own], axis=2), np.float32)
    return torch.tensor(x), torch.tensor(np.ascontiguousarray(tensors["y"].T, np.float32) * SCALE)


def _start(
    tensors: dict[str, np.ndarray], agents: int, inputs: int, draw: torch.Generator
) -> list[torch.Tensor]:
    """The weights to start from: those in use, or else random ones with an output layer of 0, which predict 0."""
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
    """Normal draws with mean 0."""
    return torch.randn(shape, generator=draw) * deviation


def _forward(layers: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The outputs (N, B) of the N networks for inputs (N, B, D)."""
    w1, b1, w2, b2, w3, b3 = layers
    h = torch.baddbmm(b1[:, None], x, w1).relu()
    h = torch.baddbmm(b2[:, None], h, w2).relu()
    return torch.baddbmm(b3[:, None, None], h, w3[:, :, None])[:, :, 0]


def _error(layers: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> float:
    """The mean squared error of the networks over all agents and samples."""
    with torch.no_grad():
        return float(((_forward(layers, x) - y) ** 2).mean())
