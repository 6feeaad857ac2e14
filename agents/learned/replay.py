"""Replay: the newest transitions of N environments, from which learners draw batches (Lin 1992; Mnih 2015).

Returns of n steps (Sutton 1988) are summed when a batch is drawn, so that what is stored is what happened.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats, Ints
from windvane.agents.kernel import kernel
from windvane.agents.learned.sum_tree import find, new_tree, set_priorities
from windvane.agents.learned.transitions import Singles, Transition


class Batch(NamedTuple):
    """B transitions of up to n steps each."""

    state: Singles  # (B, D)
    action: Ints  # (B,)
    reward: Singles  # (B,) discounted sum over the steps
    following: Singles  # (B, D) after them
    discount: Singles  # (B,) of what follows, 0 where nothing can be earned any more
    weight: Singles  # (B,) by which a loss is weighed so that it is unbiased, at most 1
    place: Ints  # (B,) where they are stored


class Rows(NamedTuple):
    """A ring of R steps of N environments."""

    state: Singles  # (R, N, D)
    following: Singles  # (R, N, D)
    action: Ints  # (R, N)
    reward: Floats  # (R, N)
    ended: Ints  # (R, N) 1 cut off, 2 terminated


class Replay:
    """A ring of transitions.

    width: D; environments: N; capacity: transitions kept, at least n + 1 for each environment; steps: n; discount:
    gamma. priority: alpha, 0 draws uniformly (Schaul 2016).
    """

    def __init__(
        self,
        width: int,
        environments: int,
        capacity: int,
        *,
        steps: int,
        discount: float,
        priority: float = 0.0,
    ) -> None:
        rows = max(capacity // environments, steps + 1)
        self.rows, self.environments, self.steps = rows, environments, steps
        self._powers = np.power(discount, np.arange(steps + 1, dtype=np.float64))
        self._rows = Rows(
            state=np.zeros((rows, environments, width), np.float32),
            following=np.zeros((rows, environments, width), np.float32),
            action=np.zeros((rows, environments), np.int64),
            reward=np.zeros((rows, environments)),
            ended=np.zeros((rows, environments), np.int64),
        )
        self.seen = 0
        self._alpha, self._highest = priority, 1.0
        self._tree = new_tree(rows * environments)

    @property
    def ready(self) -> int:
        """Transitions that can be drawn: those whose n steps are all there."""
        return max(min(self.seen, self.rows) - self.steps + 1, 0) * self.environments

    def add(self, step: Transition) -> None:
        """Store a step of all environments in place of the oldest."""
        at = self.seen % self.rows
        r = self._rows
        r.state[at], r.action[at], r.reward[at] = step.state, step.action, step.reward
        r.following[at], r.ended[at] = step.following, np.where(step.terminated, 2, step.ended)
        self.seen += 1
        if self._alpha > 0.0:
            self._give(at, 0.0)  # its n steps are not there yet
            if self.seen >= self.steps:
                self._give((self.seen - self.steps) % self.rows, self._highest)

    def _give(self, row: int, priority: float) -> None:
        places = row * self.environments + np.arange(self.environments)
        set_priorities(self._tree, places, np.full(self.environments, priority))

    def draw(self, size: int, draw: np.random.Generator, beta: float = 1.0) -> Batch:
        """Draw `size` transitions with replacement; beta: how far weights correct for priorities, 0 to 1."""
        ready, kept = self.ready, min(self.seen, self.rows)
        weight = np.ones(size)
        if self._alpha > 0.0:
            total, place = self._tree[1], np.empty(size, np.int64)
            find(self._tree, (np.arange(size) + draw.random(size)) * (total / size), place)  # stratified
            share = self._tree[len(self._tree) // 2 + place] / total
            weight = (share * ready) ** -beta
            weight /= weight.max()
        else:
            back, environment = np.divmod(draw.integers(ready, size=size), self.environments)
            place = (self.seen - kept + back) % self.rows * self.environments + environment
        return self._batch(place, weight)

    def _batch(self, place: Ints, weight: Floats) -> Batch:
        """The transitions of places (B,), followed until n steps are over or their episode is."""
        size, width = len(place), self._rows.state.shape[2]
        batch = Batch(
            state=np.empty((size, width), np.float32),
            action=np.empty(size, np.int64),
            reward=np.empty(size, np.float32),
            following=np.empty((size, width), np.float32),
            discount=np.empty(size, np.float32),
            weight=weight.astype(np.float32),
            place=place,
        )
        _follow(self._rows, self._powers, batch)
        return batch

    def judge(self, place: Ints, loss: Floats) -> None:
        """Give drawn transitions the priority of their losses, (B,), each above 0."""
        priority = (loss + 1e-6) ** self._alpha
        self._highest = max(self._highest, float(priority.max()))
        set_priorities(self._tree, place, priority)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that is stored, by name."""
        kept = min(self.seen, self.rows)
        stored = {name: value[:kept] for name, value in self._rows._asdict().items()}
        stored |= {"tree": self._tree, "highest": np.array([self._highest]), "seen": np.array([self.seen])}
        return {f"replay.{name}": value.copy() for name, value in stored.items()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        self.seen = int(state["replay.seen"][0])
        self._highest = float(state["replay.highest"][0])
        kept = min(self.seen, self.rows)
        for name, value in self._rows._asdict().items():
            value[:kept] = state[f"replay.{name}"]
        self._tree[:] = state["replay.tree"]


@kernel
def _follow(rows: Rows, powers: Floats, batch: Batch) -> None:
    """Fill a batch at its places: n steps on, or as many as the episode has; powers: (n + 1,) of the discount."""
    ring, environments, width = rows.state.shape
    for b in range(batch.place.shape[0]):
        row, k = batch.place[b] // environments, batch.place[b] % environments
        at, taken, reward = row, 1, rows.reward[row, k]
        while taken < powers.shape[0] - 1 and rows.ended[at, k] == 0:
            at = (at + 1) % ring
            reward += powers[taken] * rows.reward[at, k]
            taken += 1
        batch.action[b], batch.reward[b] = rows.action[row, k], reward
        batch.discount[b] = 0.0 if rows.ended[at, k] == 2 else powers[taken]
        for i in range(width):
            batch.state[b, i], batch.following[b, i] = rows.state[row, k, i], rows.following[at, k, i]
