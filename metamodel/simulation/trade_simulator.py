"""TradeSimulator: a minimal trading environment on SIMULATED markets, with the step and reset of gymnasium.

An episode is a market of its own, drawn from its seed; its first rows only fill the windows of the features.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import ConfigError, Costs, check
from windvane.metamodel.base.parameters import unknown
from windvane.metamodel.features.extractor import NAMES, WARMUP, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.simulation.market import BAR, MARKETS, simulate


class Episode(NamedTuple):
    """The rows of one simulated market; regime: (n,) true label, -1 where it is unknown."""

    rows: FeatureRows
    regime: Ints
    costs: Costs


class TradeSimulator:
    """A gymnasium-like environment: one account whose position is -1, 0 or 1 times capital.

    Where actions are continuous, the position may be anything in between. market: a name in MARKETS; max_steps: ticks
    of an episode, 15 minutes each; fee_bp: None for the market's own; delay: ticks from decision to fill of an
    ensemble that is trained here; seed: of the first episode, None for a different one each time.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "env_name": "TradeSimulator-v0",
        "state_dim": len(NAMES),
        "action_dim": 3,
        "if_discrete": True,
        "market": "standard",
        "max_steps": 1000,
        "fee_bp": None,
        "delay": 0,
        "seed": None,
    }
    warmup: ClassVar[int] = WARMUP

    def __init__(self, **env_args: Any) -> None:
        for name in env_args:
            if name not in self.DEFAULTS:
                raise unknown("argument of env_args", name, self.DEFAULTS)
        args = {**self.DEFAULTS, **env_args}
        name, wide = args["env_name"], 3 if args["if_discrete"] is True else 1
        check(name == "TradeSimulator-v0", f"env_name is {name!r}: give 'TradeSimulator-v0'")
        check(
            args["state_dim"] == len(NAMES),
            f"state_dim is {args['state_dim']!r}: give {len(NAMES)}, as many as there are features",
        )
        check(isinstance(args["if_discrete"], bool), "if_discrete is no truth value: give True or False")
        check(
            args["action_dim"] == wide,
            f"action_dim is {args['action_dim']!r}: give {wide}, since if_discrete is {args['if_discrete']}",
        )
        check(args["market"] in MARKETS, f"market is {args['market']!r}: give one of {', '.join(MARKETS)}")
        for key, low in (("max_steps", 1), ("seed", 0)):
            value = args[key]
            fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
            check(fits or (key == "seed" and value is None), f"{key} is {value!r}: give {low} or more")
        self.args = args
        self.if_discrete = bool(args["if_discrete"])
        self.market, self.max_steps = str(args["market"]), int(args["max_steps"])
        fee = MARKETS[self.market].fee_bp if args["fee_bp"] is None else args["fee_bp"]
        try:
            self.costs = Costs(fee_bp=float(fee), delay=int(args["delay"]))
        except (TypeError, ValueError) as error:
            raise (
                error
                if isinstance(error, ConfigError)
                else ConfigError(f"fee_bp is {fee!r} and delay {args['delay']!r}: give numbers")
            ) from error
        self._next_seed = int(args["seed"] or 0)
        self._episode: Episode | None = None
        self._at, self.position = 0, 0.0

    def episode(self, seed: int, max_steps: int | None = None) -> Episode:
        """Return all rows of the market of a seed, the warm-up first; the same seed returns the same bytes."""
        m = simulate(self.market, WARMUP + (max_steps or self.max_steps), seed)
        rows = MarketFeatureExtractor(stale_after=10 * BAR).step(
            m.ts,
            np.zeros(len(m.ts), np.int64),
            m.price,
            size=m.size,
            bid=m.bid,
            ask=m.ask,
            bid_size=m.bid_size,
            ask_size=m.ask_size,
            buy_size=m.buy_size,
        )
        return Episode(rows, m.regime, self.costs)

    def reset(self, *, seed: int | None = None) -> tuple[Floats, dict[str, Any]]:
        """Start an episode at its first warm row; returns the state (50,) and what else is known."""
        used = self._next_seed if seed is None else seed
        self._next_seed = used + 1
        self._episode = self.episode(used)
        self._at, self.position = WARMUP, 0.0
        return self._episode.rows.x[WARMUP].copy(), self._info(self._episode, 0.0)

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
