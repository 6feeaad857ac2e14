"""Episodes: SIMULATED markets of a given length, one for every seed, with what trading in them costs.

The first rows of an episode only fill the windows of the features.
"""

from typing import Any, ClassVar, NamedTuple

import numpy as np

from windvane.agents.base import Ints
from windvane.metamodel.base.config import ConfigError, Costs, check
from windvane.metamodel.base.parameters import unknown
from windvane.metamodel.features.extractor import NAMES, WARMUP, FeatureRows, MarketFeatureExtractor
from windvane.metamodel.simulation.market import BAR, MARKETS, simulate
from windvane.metamodel.simulation.simulator_rules import SimulatorRules

_RULES = (
    *("actions", "max_position", "min_order", "stop_loss", "longest_hold"),
    *("reward", "sharpe_rate", "drawdown_penalty"),
)


class Episode(NamedTuple):
    """The rows of one simulated market; regime: (n,) true label, -1 where it is unknown."""

    rows: FeatureRows
    regime: Ints
    costs: Costs


class SimulatedEpisodes:
    """What trainers and evaluators play: the markets of seeds, in whole episodes.

    `windvane.TradeSimulator` adds the steps of gymnasium, and takes the same arguments. market: a name in MARKETS;
    max_steps: ticks of an episode after the warm-up, 15 minutes each; fee_bp: None for the market's own; delay: ticks
    from decision to fill; slippage_bp, half_spread_bp: as in `Costs`; seed: of the first episode of TradeSimulator,
    None for 0. state_dim: 50, or 51 where the state ends with the position. The rest are `SimulatorRules`, for
    the steps of TradeSimulator. Raises ConfigError for an argument that is not known or does not fit.
    """

    DEFAULTS: ClassVar[dict[str, Any]] = {
        "env_name": "TradeSimulator-v0",
        "state_dim": len(NAMES),
        "action_dim": 3,
        "if_discrete": True,
        "market": "standard",
        "max_steps": 1000,
        "fee_bp": None,
        "slippage_bp": 0.0,
        "half_spread_bp": 0.0,
        "delay": 0,
        "seed": None,
        **{name: getattr(SimulatorRules(), name) for name in _RULES},
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
            args["state_dim"] in (len(NAMES), len(NAMES) + 1),
            f"state_dim is {args['state_dim']!r}: give {len(NAMES)}, as many as there are features, or one more for "
            "the position",
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
        self.rules = self._rules(args)
        self.costs = self.rules.costs

    def _rules(self, args: dict[str, Any]) -> SimulatorRules:
        """The rules that checked arguments ask for; raises ConfigError for a number that is none."""
        fee = MARKETS[self.market].fee_bp if args["fee_bp"] is None else args["fee_bp"]
        given = {"fee_bp": fee} | {name: args[name] for name in ("slippage_bp", "half_spread_bp", "delay")}
        given |= {name: args[name] for name in _RULES}
        try:
            costs = Costs(
                fee_bp=float(fee),
                slippage_bp=float(args["slippage_bp"]),
                half_spread_bp=float(args["half_spread_bp"]),
                delay=int(args["delay"]),
            )
            return SimulatorRules(
                costs=costs,
                discrete=self.if_discrete,
                sees_position=args["state_dim"] > len(NAMES),
                **{name: args[name] for name in _RULES},
            )
        except ConfigError:
            raise
        except (TypeError, ValueError) as error:
            shown = ", ".join(
                f"{name} {value!r}" for name, value in given.items() if not isinstance(value, float | int)
            )
            raise ConfigError(f"{shown}: give numbers for what is no name") from error

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
