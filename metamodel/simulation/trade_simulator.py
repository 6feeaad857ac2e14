"""TradeSimulator: a minimal trading environment on SIMULATED markets, as a gymnasium.Env.

Without gymnasium it has the same methods and no spaces. This module is imported when the name is first used, since
importing gymnasium takes a quarter of a second.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base.config import ConfigError, check
from windvane.metamodel.features.extractor import NAMES, WARMUP
from windvane.metamodel.simulation.episodes import Episode, SimulatedEpisodes

try:
    import gymnasium
except ImportError:
    gymnasium = None  # type: ignore[assignment]

if TYPE_CHECKING:
    Environment = gymnasium.Env[Floats, Any]
else:
    Environment = object if gymnasium is None else gymnasium.Env

ID = "windvane/TradeSimulator-v0"
"""By this name `gymnasium.make` makes it, once `windvane.TradeSimulator` has been imported."""

_BOUND = 20.0  # no feature is larger


class TradeSimulator(SimulatedEpisodes, Environment):
    """A gymnasium.Env: one account whose position is -1, 0 or 1 times capital, on an episode of a simulated market.

    Observations are the raw features (50,) of the newest row. Where actions are not discrete, the position may be
    anything in between. An episode never terminates: it is truncated after its last row. The same seed is the same
    market, and each `reset` without a seed goes on to the next one, from `seed` of the arguments on. render_mode:
    None, or "ansi", with which `render` returns a line of text. The other arguments are those of `SimulatedEpisodes`.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 4}  # type: ignore[misc]

    def __init__(self, *, render_mode: str | None = None, **env_args: Any) -> None:
        super().__init__(**env_args)
        check(render_mode in (None, "ansi"), f"render_mode is {render_mode!r}: give None or 'ansi'")
        self.render_mode = render_mode
        if gymnasium is not None:
            spaces = gymnasium.spaces
            self.observation_space = spaces.Box(-_BOUND, _BOUND, (len(NAMES),), np.float64)
            self.action_space = (
                spaces.Discrete(3) if self.if_discrete else spaces.Box(-1.0, 1.0, (1,), np.float32)
            )
        self._next_seed = int(self.args["seed"] or 0)
        self._episode: Episode | None = None
        self._at, self.position = 0, 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Start an episode at its first warm row; returns the state (50,) and what else is known.

        seed: of the market, 0 or more, None for the one after the last. There are no options: raises ConfigError for
        any, and for a seed below 0.
        """
        check(not options, f"options are {options!r}: give none, and the market's settings when you make it")
        used = self._next_seed if seed is None else int(seed)
        check(used >= 0, f"seed is {seed}: give 0 or more")
        if gymnasium is not None:
            super().reset(seed=used)
        self._next_seed = used + 1
        self._episode = self.episode(used)
        self._at, self.position = WARMUP, 0.0
        return self._episode.rows.x[WARMUP].copy(), self._info(self._episode, 0.0)

    def render(self) -> str | None:
        """One line on the present row, where render_mode is "ansi"; None where it is not."""
        if self.render_mode is None:
            return None
        if self._episode is None:
            raise ConfigError("nothing to render yet: call reset first")
        info = self._info(self._episode, 0.0)
        return f"row {self._at - WARMUP}: price {info['price']:.2f}, position {info['position']:+.2f}"

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Trade, pay for it, hold what comes of it over the next tick; the reward is in units of capital.

        action: 0 sell, 1 hold, 2 buy one times capital, as far as the position may go; where actions are continuous,
        the position, -1 to 1. Returns state, reward, terminated, truncated and info.
        """
        if self._episode is None or self._at + 1 >= len(self._episode.regime):
            raise ConfigError("the episode is over: call reset first")
        wanted = self._wanted(action)
        rows, t = self._episode.rows, self._at
        half = (rows.ask[t] - rows.bid[t]) / (2.0 * rows.mid[t])
        paid = abs(wanted - self.position) * (self.costs.fee_bp * 1e-4 + half)
        reward = float(wanted * (rows.mid[t + 1] / rows.mid[t] - 1.0) - paid)
        self._at, self.position = t + 1, wanted
        over = self._at + 1 >= len(self._episode.regime)
        return rows.x[self._at].copy(), reward, False, over, self._info(self._episode, paid)

    def _wanted(self, action: Any) -> float:
        value = float(np.asarray(action, np.float64).reshape(-1)[0])
        if self.if_discrete:
            check(value in (0.0, 1.0, 2.0), f"action is {action!r}: give 0 (sell), 1 (hold) or 2 (buy)")
            return min(max(self.position + value - 1.0, -1.0), 1.0)
        check(-1.0 <= value <= 1.0, f"action is {action!r}: give a position from -1 to 1")
        return value

    def _info(self, episode: Episode, paid: float) -> dict[str, Any]:
        rows, t = episode.rows, self._at
        return {
            "ts": int(rows.ts[t]),
            "price": float(rows.mid[t]),
            "volume": float(rows.size[t]),
            "bid": float(rows.bid[t]),
            "ask": float(rows.ask[t]),
            "position": self.position,
            "paid": paid,
        }


if gymnasium is not None and ID not in gymnasium.registry:
    gymnasium.register(ID, entry_point=f"{__name__}:TradeSimulator")
