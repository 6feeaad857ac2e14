"""ValuedAgent: an agent that does what is worth most, whoever says what the actions are worth."""

from collections.abc import Callable
from typing import Any

import numpy as np

from windvane.agents.base import Agent, Floats, Ints, Proposal
from windvane.agents.learned.policy import ACTIONS
from windvane.agents.learned.settings import LearnedError
from windvane.agents.learned.transitions import Singles
from windvane.agents.state import FEATURES

WIDTHS = (FEATURES, FEATURES + 1)
"""Numbers of a state: the features of a row, or those and the own position, -1, 0 or 1, behind them."""

Judge = Callable[[Singles], Any]
"""Returns what sell, hold and buy are worth, (3,) or (1, 3), in a state (1, D)."""

Scale = Callable[[Floats], Floats]
"""Returns features (1, 50) as the judge was trained on them."""


class ValuedAgent(Agent):
    """An agent whose position is -1, 0 or 1, and who asks a judge about one state after the other.

    judge: as `Judge`; width: D, 50 or 51, None for the first of the two that it answers. scale: of the features, such
    as `FeatureScaler().scale`; None where the judge reads raw ones. actions: "trade", where sell and buy move the
    position by one step, or "target", where they are the position. Its confidence is the margin of the best action
    over the second, as a share of that over the worst. Raises LearnedError where these do not fit.
    """

    def __init__(
        self,
        name: str,
        judge: Judge,
        *,
        width: int | None = None,
        scale: Scale | None = None,
        actions: str = "trade",
    ) -> None:
        widths = WIDTHS if width is None else (check_width(name, width),)
        if actions not in ACTIONS:
            raise LearnedError(f"actions of {name} is {actions!r}: give one of {', '.join(ACTIONS)}")
        self.name = name
        self.position = 0.0
        self._judge, self._scale, self._trades = judge, scale, actions == "trade"
        self.width = self._tried(widths)

    def _tried(self, widths: tuple[int, ...]) -> int:
        """The first width that the judge answers; raises LearnedError where there is none."""
        why = ""
        for width in widths:
            try:
                self.values(np.zeros((1, width), np.float32))
            except (LearnedError, RuntimeError, ValueError, TypeError, IndexError) as error:
                why = why or str(error).strip().partition("\n")[0]
            else:
                return width
        raise LearnedError(
            f"agent {self.name} does not answer a state of {' or '.join(map(str, widths))} numbers ({why}): give what "
            "takes (1, D) of float32 and returns what sell, hold and buy are worth"
        )

    def seen(self, x: Floats) -> Singles:
        """Return the state (1, D) that the judge is asked about in a row x (50,), at the present position."""
        whole = x.reshape(1, -1) if self._scale is None else self._scale(x.reshape(1, -1))
        if self.width > FEATURES:
            whole = np.append(whole, [[self.position]], axis=1)
        return np.ascontiguousarray(whole, np.float32)

    def values(self, state: Singles) -> Floats:
        """Return what the actions are worth, (3,), in a state (1, D); raises LearnedError where that is no answer."""
        said = np.asarray(self._judge(state), np.float64)
        if said.shape not in ((3,), (1, 3)) or not np.isfinite(said).all():
            what = f"numbers that are not finite, {said.ravel()}" if said.size == 3 else f"shape {said.shape}"
            raise LearnedError(
                f"agent {self.name} answers a state with {what}: give one finite number an action"
            )
        return said.reshape(3)

    def move(self, action: int) -> int:
        """Do what an action, 0 sell, 1 hold or 2 buy, means; returns the sign of the change of position."""
        before, step = self.position, action - 1.0
        self.position = min(max(before + step, -1.0), 1.0) if self._trades else step
        return int(np.sign(self.position - before))

    def propose(self, x: Floats, price: Floats, good: Ints) -> Proposal:
        """As `Agent` says: one state is asked about at a time, so that no cut of the rows changes a bit."""
        n = len(good)
        target, action, confidence = np.zeros(n), np.zeros(n, np.int64), np.zeros(n)
        for t in range(n):
            if good[t] != 0:
                values = self.values(self.seen(x[t]))
                action[t] = self.move(int(values.argmax()))
                confidence[t] = margin(values)
            target[t] = self.position
        return Proposal(target, action, confidence)

    def state(self) -> dict[str, Floats]:
        return {"position": np.array([self.position])}

    def restore(self, state: dict[str, Floats]) -> None:
        position = np.asarray(state.get("position"), np.float64)
        if position.shape != (1,) or position[0] not in (-1.0, 0.0, 1.0):
            raise LearnedError(f"the state is not one of agent {self.name}: restore that of the same agent")
        self.position = float(position[0])


def check_width(name: str, width: int) -> int:
    """Return the width of the states of an agent; raises LearnedError where it is none of `WIDTHS`."""
    if width not in WIDTHS:
        raise LearnedError(
            f"state_dim of {name} is {width}: give {WIDTHS[0]} or {WIDTHS[1]}, with its position"
        )
    return width


def margin(values: Floats) -> float:
    """How far the best of three values is above the second, as a share of how far it is above the worst."""
    worst, second, best = np.sort(values)
    return float((best - second) / (best - worst)) if best > worst else 0.0
