"""TradeSimulators: many accounts on one tape as a gymnasium.vector.VectorEnv, stepped by one call of one kernel."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from windvane.agents.base import Floats
from windvane.metamodel.base.config import check
from windvane.metamodel.features.extractor import NAMES, FeatureRows
from windvane.metamodel.simulation.episodes import SimulatedEpisodes
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.tape import joined, tape_of
from windvane.metamodel.simulation.trade_simulator import BOUND, action_space, gymnasium

if gymnasium is not None:
    from gymnasium.vector import AutoresetMode, VectorEnv
    from gymnasium.vector.utils import batch_space

if TYPE_CHECKING:
    Environments = VectorEnv[Floats, Any, Any]
else:
    Environments = object if gymnasium is None else VectorEnv

LONG = 8
"""Episodes that fit into one simulated market."""


class TradeSimulators(SimulatedEpisodes, Environments):
    """A VectorEnv of `num_envs` accounts, each an environment as `TradeSimulator`, without a loop over them in Python.

    Episodes start at rows that the seed draws, on `markets` simulated markets of consecutive seeds from `seed` on, of
    eight episodes each, or on `rows`. An episode that ends is followed by another in the same step: `final_obs` of the
    infos then holds the last states, as gymnasium's AutoresetMode.SAME_STEP says.
    """

    metadata: ClassVar[dict[str, Any]] = (  # type: ignore[misc]
        {} if gymnasium is None else {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}
    )

    def __init__(
        self,
        num_envs: int = 1,
        *,
        markets: int = 16,
        rows: FeatureRows | None = None,
        render_mode: str | None = None,
        **env_args: Any,
    ) -> None:
        SimulatedEpisodes.__init__(self, **env_args)
        check(num_envs >= 1, f"num_envs is {num_envs}: give 1 or more")
        check(markets >= 1, f"markets is {markets}: give 1 or more")
        check(
            render_mode is None,
            f"render_mode is {render_mode!r}: give None, since nobody looks at many at once",
        )
        self.num_envs, self.render_mode = num_envs, render_mode
        first = int(self.args["seed"] or 0)
        if rows is None:
            long = LONG * self.max_steps + 1
            tape = joined([tape_of(self.episode(first + m, long).rows) for m in range(markets)])
        else:
            tape = tape_of(rows)
        self._tape, self._seed = tape, first
        self._lanes = self._fresh(first)
        self._started = False
        if gymnasium is not None:
            low = np.full(self.args["state_dim"], -BOUND)
            low[len(NAMES) :] = -1.0
            self.single_observation_space = gymnasium.spaces.Box(low, -low, dtype=np.float64)
            self.single_action_space = action_space(self.if_discrete)
            self.observation_space = batch_space(self.single_observation_space, num_envs)
            self.action_space = batch_space(self.single_action_space, num_envs)

    def _fresh(self, seed: int) -> Lanes:
        return Lanes(self._tape, self.rules, self.num_envs, steps=self.max_steps, seed=seed)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Start an episode in every environment; returns the states (num_envs, 50 or 51) and no infos.

        seed: of the rows that episodes start at, 0 or more (of a list the first counts), None to go on drawing. There
        are no options: raises ConfigError for any.
        """
        check(not options, f"options are {options!r}: give none")
        used = seed[0] if isinstance(seed, list) else seed
        if used is not None:
            check(used >= 0, f"seed is {used}: give 0 or more")
            self._lanes = self._fresh(used)
        self._started = True
        return self._lanes.reset(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Step all environments; returns states, rewards, terminations (none), truncations, and infos.

        actions: (num_envs,) 0, 1 or 2, or (num_envs, 1) positions from -1 to 1, as `TradeSimulator.step` takes them.
        """
        check(self._started, "no episode has begun: call reset first")
        action = np.asarray(actions, np.float64).reshape(-1)
        check(
            len(action) == self.num_envs,
            f"{len(action)} actions for {self.num_envs} environments: give one each",
        )
        if self.if_discrete:
            fit = bool(((action == 0.0) | (action == 1.0) | (action == 2.0)).all())
            check(fit, "an action is none of 0 (sell), 1 (hold) and 2 (buy): give one of them")
        else:
            check(bool((np.abs(action) <= 1.0).all()), "an action is no position from -1 to 1: give one")
        state, reward, ended, final = self._lanes.step(action)
        infos: dict[str, Any] = {}
        if final is not state:
            infos = {"final_obs": final, "_final_obs": ended.copy()}
        return state, reward, np.zeros(self.num_envs, np.bool_), ended, infos
