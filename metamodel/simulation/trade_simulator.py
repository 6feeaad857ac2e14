"""TradeSimulator: one account on one market, as a gymnasium.Env; `trade_simulators` has many of them at once.

Without gymnasium it has the same methods and no spaces. This module is imported when the name is first used, since
importing gymnasium takes a quarter of a second.
"""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from windvane.agents.base import Floats
from windvane.metamodel.base.config import ConfigError, check
from windvane.metamodel.features.extractor import NAMES, FeatureRows
from windvane.metamodel.simulation.episodes import Episode, SimulatedEpisodes
from windvane.metamodel.simulation.lanes import Lanes
from windvane.metamodel.simulation.tape import Tape, tape_of

__all__ = ["BOUND", "Episode", "TradeSimulator", "action_space", "gymnasium"]

try:
    import gymnasium
except ImportError:
    gymnasium = None  # type: ignore[assignment]

if TYPE_CHECKING:
    Environment = gymnasium.Env[Floats, Any]
else:
    Environment = object if gymnasium is None else gymnasium.Env

BOUND = 20.0
"""No feature is larger."""


def action_space(discrete: bool) -> Any:
    """The space of one action: sell, hold, buy, or a position."""
    spaces = gymnasium.spaces
    return spaces.Discrete(3) if discrete else spaces.Box(-1.0, 1.0, (1,), np.float32)


class TradeSimulator(SimulatedEpisodes, Environment):
    """A gymnasium.Env: one account whose position is -1, 0 or 1, on an episode of a simulated market or of given rows.

    Observations are the raw features (50,) of the newest row, and the position behind them where state_dim is 51.
    Where actions are not discrete, the position may be anything in between. An episode never terminates: it is
    truncated after its last row. The same seed is the same market, and each `reset` without a seed goes on to the next
    one, from `seed` of the arguments on. The other arguments are those of `SimulatedEpisodes`.

    rows: what to play instead of simulated markets, for example a file's (`windvane.infra.policies.market.file_rows`);
    episodes then start at a row that the seed draws, and fee_bp is 1 where it is not given.
    render_mode: None, or "ansi", with which `render` returns a line of text.

    The account is the pipeline's: whole lots, no order below the least, filled at bid or ask with slippage and fee,
    `delay` rows after the decision, marked at the mid. In simulators of trading contests, from which the name comes, is
    otherwise what is mended here:

    - a stop loss is a share of the entry price, where theirs is an amount of dollars that means less as prices rise;
    - a state and its prices are the same row wherever an episode starts, where theirs move apart at a random start;
    - short positions are evaluated, where theirs are trained on and then forbidden;
    - a fill pays half the spread, where theirs is at the mid;
    - the delay delays, where theirs is an argument that nothing reads.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 4}  # type: ignore[misc]

    def __init__(
        self, *, render_mode: str | None = None, rows: FeatureRows | None = None, **env_args: Any
    ) -> None:
        super().__init__(**env_args)
        check(render_mode in (None, "ansi"), f"render_mode is {render_mode!r}: give None or 'ansi'")
        self.render_mode = render_mode
        self._tape = None if rows is None else tape_of(rows)
        if gymnasium is not None:
            low = np.full(self.args["state_dim"], -BOUND)
            low[len(NAMES) :] = -1.0
            self.observation_space = gymnasium.spaces.Box(low, -low, dtype=np.float64)
            self.action_space = action_space(self.if_discrete)
        self._next_seed = int(self.args["seed"] or 0)
        self._lanes: Lanes | None = None
        self._start = 0

    @property
    def position(self) -> float:
        """The position that is wanted, with what is in flight, -1 to 1; 0 before the first reset."""
        return 0.0 if self._lanes is None else float(self._lanes.lanes[0]["position"])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Start an episode at its first warm row; returns the state and what else is known.

        seed: of the market, or of the first row, 0 or more, None for the one after the last. There are no options:
        raises ConfigError for any, and for a seed below 0.
        """
        check(not options, f"options are {options!r}: give none, and the market's settings when you make it")
        used = self._next_seed if seed is None else int(seed)
        check(used >= 0, f"seed is {seed}: give 0 or more")
        if gymnasium is not None:
            super().reset(seed=used)
        self._next_seed = used + 1
        if self._tape is None:
            tape: Tape = tape_of(self.episode(used).rows)
            self._lanes = Lanes(tape, self.rules, 1, steps=max(self.max_steps - 1, 1))
            state = self._lanes.place(0, len(tape.mid) - 1)
        else:
            self._lanes = Lanes(self._tape, self.rules, 1, steps=self.max_steps, seed=used)
            state = self._lanes.reset()
        self._start = int(self._lanes.lanes[0]["at"])
        return state[0], self._info(self._lanes)

    def render(self) -> str | None:
        """One line on the present row, where render_mode is "ansi"; None where it is not."""
        if self.render_mode is None:
            return None
        if self._lanes is None:
            raise ConfigError("nothing to render yet: call reset first")
        info, row = self._info(self._lanes), int(self._lanes.lanes[0]["at"]) - self._start
        return f"row {row}: price {info['price']:.2f}, position {info['position']:+.2f}"

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Trade, pay for it, hold what comes of it over the next row; a profit is in units of capital.

        action: 0 sell, 1 hold, 2 buy one step, as far as the position may go (`actions` "target": 0 short, 1 none, 2
        long); where actions are continuous, the position, -1 to 1. Returns state, reward, terminated, truncated, info.
        """
        if self._lanes is None or self._lanes.lanes[0]["at"] >= self._lanes.lanes[0]["stop"]:
            raise ConfigError("the episode is over: call reset first")
        state, reward, over = self._lanes.step_one(self._checked(action))
        return state, reward, False, over, self._info(self._lanes)

    def _checked(self, action: Any) -> float:
        value = float(np.asarray(action, np.float64).reshape(-1)[0])
        if self.if_discrete:
            check(value in (0.0, 1.0, 2.0), f"action is {action!r}: give 0 (sell), 1 (hold) or 2 (buy)")
        else:
            check(-1.0 <= value <= 1.0, f"action is {action!r}: give a position from -1 to 1")
        return value

    def _info(self, lanes: Lanes) -> dict[str, Any]:
        tape, lane = lanes.tape, lanes.lanes[0]
        t = int(lane["at"])
        return {
            "ts": int(tape.ts[t]),
            "price": float(tape.mid[t]),
            "volume": float(tape.size[t]),
            "bid": float(tape.bid[t]),
            "ask": float(tape.ask[t]),
            "position": float(lane["position"]),
            "paid": float(lane["paid"]),
            "earned": float(lane["earned"]),
            "pnl": float(lanes.pnl[0]),
            "forced": bool(lane["forced"]),
        }
