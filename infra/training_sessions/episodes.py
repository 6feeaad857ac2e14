"""An episode: one market of an environment, played by an ensemble that goes on with what it has learned."""

from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.metamodel.base.config import ConfigError, Costs, default_stale_after
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.simulation.market import BAR
from windvane.metamodel.simulation.trade_simulator import Episode
from windvane.metamodel.trader.tracker import yearly_sharpe
from windvane.metamodel.trading.ensemble import MetaLearningRiskManagedEnsemble

_DAY = 86_400_000_000_000


class Environment(Protocol):
    """What a trainer asks of an environment."""

    costs: Costs
    max_steps: int

    def episode(self, seed: int, max_steps: int | None = None) -> Episode:
        """All rows of the market of a seed."""


def environment(config: MetaLearningConfig) -> Environment:
    """The environment that a config names; raises ConfigError where it names none."""
    kind = config.env_class
    if kind is None:
        raise ConfigError(
            "env_class is None: set config.env_class = TradeSimulator, or a class derived from it"
        )
    made = kind(**config.env_args)
    if not (hasattr(made, "episode") and hasattr(made, "costs") and hasattr(made, "max_steps")):
        raise ConfigError(
            f"env_class {getattr(kind, '__name__', kind)} has no episode, costs and max_steps: "
            "derive it from windvane.TradeSimulator"
        )
    return made


def ensemble(config: MetaLearningConfig, env: Environment) -> MetaLearningRiskManagedEnsemble:
    """A fresh ensemble that trades in an environment."""
    made = MetaLearningRiskManagedEnsemble(
        config.trading(costs=env.costs, interval=BAR, stale_after=default_stale_after(BAR))
    )
    made.settings = config
    return made


class Session:
    """An ensemble in the environment of a config. What is changed in that later is in effect from the next use on.

    Raises ConfigError, when it is next used, where what was changed is fixed by then: agents, delay and others.
    """

    def __init__(self, config: MetaLearningConfig) -> None:
        self.config = config
        self._env = environment(config)
        self._made_of = _environment_of(config)
        self._ensemble = ensemble(config, self._env)

    @property
    def env(self) -> Environment:
        """The environment that the config names now."""
        told = _environment_of(self.config)
        if told != self._made_of:
            env = environment(self.config)
            self._ensemble.reconfigure(msgspec.structs.replace(self._ensemble.config, costs=env.costs))
            self._env, self._made_of = env, told
        return self._env

    @property
    def meta_ensemble(self) -> MetaLearningRiskManagedEnsemble:
        """What learns, and trades row by row."""
        _ = self.env
        if self._ensemble.settings is not self.config:
            self._ensemble.settings = self.config
        self._ensemble.follow_settings()
        return self._ensemble


def _environment_of(config: MetaLearningConfig) -> tuple[Any, dict[str, Any]]:
    return config.env_class, dict(config.env_args)


@dataclass(frozen=True, slots=True)
class Told:
    """The warm rows of an episode that was played; accounts as the ensemble names them, its own first."""

    seed: int
    accounts: tuple[str, ...]
    earned: Floats  # (n, K) what every row brought, units of capital
    drawdown: Floats  # (K,) largest fall
    daily: Floats  # (D, K) of UTC days
    true: Ints  # (n,) true regime, -1 unknown
    label: Ints  # (n,) regime shown
    posterior: Floats  # (n, 7)
    weights: Floats  # (n, N)
    target: Floats  # (n,) after risk
    confidence: Floats  # (n,)
    action: Ints  # (n,)
    verdicts: Ints  # (n,)
    trades: int
    stability: float  # of the regime, at the end

    def sharpe(self, k: int = 0) -> float:
        """Sharpe ratio of account k, a year, from daily returns."""
        return yearly_sharpe(self.daily[:, k])

    def total(self, k: int = 0) -> float:
        """Return of account k, units of capital."""
        return float(self.earned[:, k].sum())

    def figures(self) -> dict[str, Any]:
        """The episode in a few numbers."""
        known = self.true >= 0
        right = (self.true == self.label)[known]
        return {
            "seed": self.seed,
            "steps": len(self.label),
            "total_reward": self.total(),
            "sharpe_ratio": self.sharpe(),
            "max_drawdown": float(self.drawdown[0]),
            "trades": self.trades,
            "equal_weights_sharpe_ratio": self.sharpe(1),
            "equal_weights_reward": self.total(1),
            "mean_confidence": float(self.confidence.mean()),
            "regime": REGIMES[self.label[-1]],
            "regime_stability": self.stability,
            "regime_accuracy": float(right.mean()) if len(right) else None,
        }


def play(
    whole: MetaLearningRiskManagedEnsemble, env: Environment, seed: int, max_steps: int | None = None
) -> Told:
    """Play the market of a seed from its first row to its last, learning all the while."""
    episode = env.episode(seed, max_steps)
    whole.new_market()
    before = whole.fills
    played = whole.desk.play(episode.rows)
    whole.rest()
    out, capital = played.round.outputs, whole.config.capital
    warm = (episode.rows.flags & WARMUP) == 0
    if not (warm & ((episode.rows.flags & REPEATED) == 0)).any():
        raise ConfigError(f"the market of seed {seed} has no row past the warm-up: give more max_steps")
    pnl = (out.equities - capital) / capital
    earned = np.diff(pnl, axis=0, prepend=np.zeros((1, pnl.shape[1])))[warm]
    path = np.vstack([np.zeros((1, pnl.shape[1])), earned.cumsum(axis=0)])
    day = ((episode.rows.ts - 1) // _DAY)[warm]
    starts = np.flatnonzero(np.append(True, day[1:] != day[:-1]))
    return Told(
        seed=seed,
        accounts=whole.accounts,
        earned=earned,
        drawdown=(np.maximum.accumulate(path, axis=0) - path).max(axis=0),
        daily=np.add.reduceat(earned, starts, axis=0),
        true=episode.regime[warm],
        label=played.label[warm],
        posterior=played.posterior[warm],
        weights=out.weights[warm],
        target=out.target[warm],
        confidence=played.confidence[warm],
        action=played.action[warm],
        verdicts=out.verdict[warm],
        trades=whole.fills - before,
        stability=whole.desk.classifier.stability,
    )
