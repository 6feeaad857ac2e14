"""ServedNetwork and ServedLearner: layers, and what a learner knows now, as judges that need no torch to answer."""

from typing import Any

import numpy as np

from windvane.agents.learned.policy import FORMAT, LearnedPolicy, PolicyForm, Trained, tensors_of
from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Layers, Learner, Singles
from windvane.agents.program import VERSION
from windvane.agents.state import FEATURES

_NAMES = tuple(f"x{i}" for i in range(FEATURES))
_WIDEST = 3.0e38
"""Nothing that float32 holds is clipped: whoever wraps a network says how states are scaled."""


class ServedNetwork:
    """Plain layers as a judge of states (1, 50), or (1, 51) with the position; LearnedError for any other layers."""

    def __init__(self, layers: Layers, algorithm: str = "dqn") -> None:
        self._width = len(layers.weights[0])
        form = PolicyForm(
            format=FORMAT,
            algorithm=algorithm,
            features=_NAMES,
            centre=(0.0,) * FEATURES,
            spread=(1.0,) * FEATURES,
            clip=_WIDEST,
            sees_position=self._width > FEATURES,
            actions="trade",
            mapping=(-1.0, 0.0, 1.0),
            max_position=1.0,
            hidden=tuple(len(bias) for bias in layers.biases[:-1]),
            activation=layers.activation,
            atoms=len(layers.support),
            warmup=0,
            weights_sha256="",
            trained=Trained(simulated=False, data="feedback", steps=0, seed=0, release=VERSION),
        )
        self._policy = LearnedPolicy(form, tensors_of(layers), _NAMES)

    def __call__(self, state: Singles) -> Any:
        if state.shape[1] != self._width:
            raise LearnedError(f"its first layer reads {self._width} numbers, not {state.shape[1]}")
        whole = state.astype(np.float64)
        position = whole[:, FEATURES] if self._width > FEATURES else np.zeros(len(whole))
        return self._policy.values(np.ascontiguousarray(whole[:, :FEATURES]), np.ascontiguousarray(position))

    def __deepcopy__(self, memo: dict[int, Any]) -> "ServedNetwork":
        """Itself: what a network has learned is not part of what an agent remembers from row to row."""
        return self


class ServedLearner:
    """The weights of a learner, copied into plain layers; `refresh` copies them again after it has learned."""

    def __init__(self, algorithm: str, learner: Learner) -> None:
        self.algorithm, self.learner = algorithm, learner
        self.refresh()

    def refresh(self) -> None:
        """Answer with what the learner knows from now on."""
        self._network = ServedNetwork(self.learner.layers(), self.algorithm)

    def __call__(self, state: Singles) -> Any:
        return self._network(state)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ServedLearner":
        """Itself, as of a network."""
        return self
