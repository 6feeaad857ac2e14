"""Networks of plain layers in torch, with all their weights in one vector.

Training a small network costs mostly the calls, not the arithmetic. With one vector, clipping, Adam and copying to a
target network are a few calls each, however many layers there are.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from windvane.agents.learned.transitions import Layers, Singles


class Plain:
    """Linear layers with ReLU between them; sizes: of the input, the hidden layers and the output.

    Weights are uniform within 1 / sqrt(inputs), as torch draws them, from our own generator. It is no `nn.Module`,
    since calling modules within modules takes longer than the arithmetic of small layers.
    """

    def __init__(self, sizes: Sequence[int], draw: np.random.Generator) -> None:
        self.weights: list[Tensor] = []  # (outputs, inputs) each
        self.biases: list[Tensor] = []  # (outputs,) each
        for inputs, outputs in itertools.pairwise(sizes):
            bound = 1.0 / math.sqrt(inputs)
            for shape, parameters in (((outputs, inputs), self.weights), ((outputs,), self.biases)):
                values = draw.uniform(-bound, bound, shape).astype(np.float32)
                parameters.append(torch.from_numpy(values).requires_grad_())

    @property
    def parameters(self) -> list[Tensor]:
        """All weights and biases."""
        return [*self.weights, *self.biases]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output (B, outputs) for inputs x (B, inputs)."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = functional.linear(x, weight, bias).relu_()
        return functional.linear(x, self.weights[-1], self.biases[-1])

    def layers(self, support: Singles | None = None) -> Layers:
        """Return copies of the weights, as whoever serves them reads them."""
        return Layers(
            weights=[np.ascontiguousarray(weight.detach().numpy().T) for weight in self.weights],
            biases=[bias.detach().numpy().copy() for bias in self.biases],
            support=np.zeros(0, np.float32) if support is None else support.copy(),
        )


def orthogonal(network: Plain, draw: np.random.Generator, last: float) -> None:
    """Make the layers of a network orthogonal, with a gain of sqrt 2, and of `last` in the last one (Saxe 2014)."""
    for weight, bias in zip(network.weights, network.biases, strict=True):
        rows, columns = weight.shape
        q, r = np.linalg.qr(draw.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diag(r))
        gain = last if weight is network.weights[-1] else math.sqrt(2.0)
        with torch.no_grad():
            values = gain * (q if rows >= columns else q.T)
            weight.copy_(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
            bias.zero_()


class Vector:
    """The weights of networks as one vector, with its gradient, and Adam (Kingma and Ba 2015).

    The parameters become views of it: what changes the one changes the other.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        size = sum(p.numel() for p in parameters)
        self.values, self.gradient = torch.zeros(size), torch.zeros(size)
        at = 0
        for p in parameters:
            here = slice(at, at + p.numel())
            self.values[here] = p.data.reshape(-1)
            p.data, p.grad = self.values[here].view_as(p), self.gradient[here].view_as(p)
            at = here.stop
        self._mean, self._square, self._steps = torch.zeros(size), torch.zeros(size), 0

    def descend(self, loss: Tensor, rate: float, clip: float, epsilon: float = 1e-8) -> None:
        """One step of Adam down the gradient of a loss, whose norm is cut to `clip`; rate: the learning rate."""
        self.gradient.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        g = self.gradient
        norm = float(torch.linalg.vector_norm(g))
        if norm > clip:
            g.mul_(clip / norm)
        self._steps += 1
        self._mean.lerp_(g, 0.1)
        self._square.mul_(0.999).addcmul_(g, g, value=0.001)
        unbiased = math.sqrt(1.0 - 0.999**self._steps)
        step = rate * unbiased / (1.0 - 0.9**self._steps)
        self.values.addcdiv_(self._mean, self._square.sqrt().add_(epsilon * unbiased), value=-step)

    def follow(self, other: "Vector", share: float = 1.0) -> None:
        """Move towards another vector by a share of the distance; 1 copies it."""
        self.values.lerp_(other.values, share)

    def state(self, name: str) -> dict[str, NDArray[Any]]:
        """Return copies of weights and moments by name."""
        return {
            f"{name}.values": self.values.numpy().copy(),
            f"{name}.mean": self._mean.numpy().copy(),
            f"{name}.square": self._square.numpy().copy(),
            f"{name}.steps": np.array([self._steps]),
        }

    def restore(self, name: str, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        for part, tensor in (("values", self.values), ("mean", self._mean), ("square", self._square)):
            tensor.copy_(torch.from_numpy(state[f"{name}.{part}"]))
        self._steps = int(state[f"{name}.steps"][0])


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in one thread meanwhile: small networks are faster so, and sums keep their order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
