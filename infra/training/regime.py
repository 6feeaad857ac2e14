"""Trains the regime classifier on randomised SIMULATED markets, whose true regimes are known.

Truncated back-propagation through time with the state carried on (Williams and Peng 1990), Adam, a learning rate that
falls as a cosine, and an average of the weights (Polyak and Juditsky 1992), which is what ships.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from windvane.agents.errors import WindvaneError
from windvane.infra.training.samples import sequences
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.features.scaler import CLIP, FeatureScaler
from windvane.metamodel.simulation.seeds import TRAINING

if TYPE_CHECKING:
    import torch

FEATURES = (*NAMES[:21], "momentum_4")
"""The classifier's inputs: the 21 features that are scaled by their own past, and the return since its last update."""

_QUOTES = ("spread_slow",)
_SIZES = ("volume_16_slow", "volume_96_slow")
_LEVEL = "vol_slow_level"
_NEAREST, _FARTHEST = 3.5, 7.0  # how far another scale of volatility is from the simulator's, scaled


class TrainingError(WindvaneError):
    """Training is impossible; the message is one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the trained weights; training with an equal recipe is repeatable.

    seeds: one simulated market each, of `ticks` rows; hidden: units of the GRU; batch: markets a batch; length: updates
    through which a gradient is propagated; rate, floor: highest and lowest learning rate; average: decay of the
    averaged weights; lacking: share of the markets that are trained on without quotes, without sizes, or on another
    scale of volatility; seed: of all random draws.
    """

    seeds: range = field(default=TRAINING)
    ticks: int = 64_512
    hidden: int = 48
    epochs: int = 40
    batch: int = 60
    length: int = 128
    rate: float = 4e-3
    floor: float = 1e-5
    average: float = 0.999
    lacking: float = 0.12
    seed: int = 0

    @property
    def pieces(self) -> int:
        """Pieces of `length` updates in a market; the first 512 ticks warm up, and every fourth is an update."""
        return -(-(self.ticks - 512) // 4) // self.length

    @property
    def steps(self) -> int:
        """Number of steps of the optimiser: one for each piece of each batch in each epoch."""
        return self.epochs * (len(self.seeds) // self.batch) * self.pieces

    @property
    def total(self) -> int:
        """The number at which `progress` ends: one for each market that is simulated and one for each step."""
        return len(self.seeds) + self.steps


def train_regime(recipe: Recipe | None = None, progress: Callable[[int], None] = lambda done: None) -> bytes:
    """Train the regime classifier and return its weights as safetensors.

    The same recipe results in the same bytes on one type of CPU and one version of torch. recipe: None is that of the
    weights which ship; progress: called with the steps done, up to `recipe.total`. Raises TrainingError where the
    recipe has no step or torch is not installed.
    """
    recipe = recipe or Recipe()
    if recipe.steps < 1:
        raise TrainingError("the recipe has no step: give as many seeds as a batch, and a piece of ticks")
    try:
        import torch
    except ImportError as error:
        raise TrainingError("training needs torch: install windvane[train]") from error
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that sums keep their order
    try:
        return _train(torch, recipe, progress)
    finally:
        torch.set_num_threads(threads)


def _train(torch: Any, recipe: Recipe, progress: Callable[[int], None]) -> bytes:
    """Simulate the markets, train on them, and return the averaged weights with the scaler and the prior."""
    scaler = FeatureScaler()
    data = sequences(FEATURES, recipe.seeds, recipe.ticks, scaler, progress)
    prior = np.bincount(data.y.ravel(), minlength=len(REGIMES)) + 1.0
    z, y = torch.from_numpy(data.z), torch.from_numpy(data.y)
    draw = torch.Generator().manual_seed(recipe.seed)
    net = _Net(torch, recipe.hidden, draw)
    average = [p.detach().clone() for p in net.parameters]
    adam = torch.optim.Adam(net.parameters, lr=recipe.rate)
    markets, updates = y.shape
    step = 0
    for _ in range(recipe.epochs):
        order = torch.randperm(markets, generator=draw)
        for first in range(0, markets - recipe.batch + 1, recipe.batch):
            rows = order[first : first + recipe.batch, None]
            start = torch.randint(0, updates, (recipe.batch, 1), generator=draw)
            lacks = _Lacks(torch, recipe, draw)
            state = torch.zeros(1, recipe.batch, recipe.hidden)
            for piece in range(recipe.pieces):
                at = (start + torch.arange(piece * recipe.length, (piece + 1) * recipe.length)) % updates
                fall = 0.5 * (1.0 + math.cos(math.pi * step / recipe.steps))
                adam.param_groups[0]["lr"] = recipe.rate * min(1.0, (step + 1) / 100) * fall + recipe.floor
                scores, state = net(lacks.apply(z[rows, at]), state)
                state = state.detach()
                loss = torch.nn.functional.cross_entropy(
                    scores.reshape(-1, len(REGIMES)), y[rows, at].reshape(-1)
                )
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters, 1.0)
                adam.step()
                step += 1
                keep = min(recipe.average, step / (step + 10))
                with torch.no_grad():
                    for mean, p in zip(average, net.parameters, strict=True):
                        mean.mul_(keep).add_(p, alpha=1.0 - keep)
                progress(markets + step)
    columns = [NAMES.index(name) for name in FEATURES]
    tensors = {name: mean.numpy() for name, mean in zip(net.names, average, strict=True)}
    tensors |= {
        "centre": scaler.centre[columns],
        "spread": scaler.spread[columns],
        "prior": prior / prior.sum(),
    }
    about = {name: str(value) for name, value in asdict(recipe).items()}
    about |= {
        "model": "regime",
        "data": "simulated standard markets, randomised",
        "features": ",".join(FEATURES),
        "absent": ",".join((*_QUOTES, *_SIZES)),
        "regimes": ",".join(REGIMES),
    }
    return weights.to_bytes(tensors, about)


class _Net:
    """torch's GRU and a linear layer, whose initial weights come from the generator `draw`."""

    def __init__(self, torch: Any, hidden: int, draw: "torch.Generator") -> None:
        self._gru = torch.nn.GRU(len(FEATURES), hidden, batch_first=True)
        self._out = torch.nn.Linear(hidden, len(REGIMES))
        parts = (("gru", self._gru), ("out", self._out))
        named = [(f"{part}.{name}", p) for part, module in parts for name, p in module.named_parameters()]
        self.names = [name for name, _ in named]
        self.parameters = [p for _, p in named]
        with torch.no_grad():
            for p in self.parameters:
                p.uniform_(-(hidden**-0.5), hidden**-0.5, generator=draw)

    def __call__(self, z: Any, state: Any) -> tuple[Any, Any]:
        """Return scores (B, L, 7) before the softmax for inputs z (B, L, F), and the state after them."""
        hidden, state = self._gru(z, state)
        return self._out(hidden), state


class _Lacks:
    """Chooses the markets of a batch that lack quotes, lack sizes, or have a much higher or lower volatility.

    Real data often have no quotes or sizes, and one-minute bars move less than the simulator's ticks. A model that was
    never trained on such data would be confident and wrong about them.
    """

    def __init__(self, torch: Any, recipe: Recipe, draw: "torch.Generator") -> None:
        lacks = torch.rand(recipe.batch, 3, generator=draw) < recipe.lacking
        self._quotes, self._sizes = lacks[:, 0], lacks[:, 1]
        far = _NEAREST + (_FARTHEST - _NEAREST) * torch.rand(recipe.batch, generator=draw)
        side = 2.0 * (torch.rand(recipe.batch, generator=draw) < 0.5) - 1.0
        self._shift = (far * side * lacks[:, 2])[:, None]

    def apply(self, z: Any) -> Any:
        """Return z (B, L, F), changed in place: what the chosen markets lack is set to the value for absent data."""
        for name in _QUOTES:
            z[self._quotes, :, FEATURES.index(name)] = -CLIP
        for name in _SIZES:
            z[self._sizes, :, FEATURES.index(name)] = -CLIP
        level = FEATURES.index(_LEVEL)
        z[:, :, level] = (z[:, :, level] + self._shift).clip(-CLIP, CLIP)
        return z
