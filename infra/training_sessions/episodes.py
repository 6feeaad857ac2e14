"""Episodes: an ensemble trades one market of an environment after another, and keeps what it has learned."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np

from windvane.agents.base import Floats, Ints
from windvane.agents.factory import create_agents
from windvane.agents.roster import check_made_here
from windvane.infra.training_sessions.agents import Agents
from windvane.metamodel.base.config import ConfigError, Costs, default_stale_after
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import REPEATED, WARMUP
from windvane.metamodel.base.times import DAY
from windvane.metamodel.settings.meta_config import MetaLearningConfig
from windvane.metamodel.simulation.episodes import Episode
from windvane.metamodel.simulation.market import BAR
from windvane.metamodel.trader.desk import Maker
from windvane.metamodel.trader.tracker import yearly_sharpe
from windvane.metamodel.trader.trader import MetaLearningRiskManagedEnsemble


class Environment(Protocol):
    """A source of simulated markets for trainers and evaluators; `windvane.TradeSimulator` is one.

    costs: what trading costs in its markets; max_steps: rows of an episode after the warm-up.
    """

    costs: Costs
    max_steps: int

    def episode(self, seed: int, max_steps: int | None = None) -> Episode:
        """Return all rows of the market of a seed; called once an episode, before any row is traded.

        max_steps: rows after the warm-up, None for the environment's own number. Equal arguments return equal rows.
        """


def environment(config: MetaLearningConfig) -> Environment:
    """Create the environment `config.env_class` with `config.env_args`.

    Raises ConfigError where there is no such class, or it lacks what `Environment` asks for.
    """
    kind = config.env_class
    if kind is None:
        raise ConfigError(
            "env_class is None: set config.env_class = TradeSimulator, or a class derived from it"
        )
    env = kind(**config.env_args)
    if not (hasattr(env, "episode") and hasattr(env, "costs") and hasattr(env, "max_steps")):
        raise ConfigError(
            f"env_class {getattr(kind, '__name__', kind)} has no episode, costs and max_steps: "
            "derive it from windvane.TradeSimulator"
        )
    return env


def ensemble(
    config: MetaLearningConfig, env: Environment, make: Maker = create_agents
) -> MetaLearningRiskManagedEnsemble:
    """Create an ensemble that has learned nothing, with the settings of a config and the costs of an environment.

    make: who makes its agents.
    """
    check_made_here(config.roster().bindings, "a session asks every agent itself")
    shipped = MetaLearningConfig(**config.values() | {"net_dims": None})
    fresh = MetaLearningRiskManagedEnsemble(
        shipped.trading(costs=env.costs, interval=BAR, stale_after=default_stale_after(BAR)),
        make,
        config.net_dims,
    )
    fresh.settings = config
    return fresh


def known(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures as files hold them: None in place of NaN, which stands for what is not known."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures.items()
    }


class Session:
    """An ensemble in the environment that a config names: the base of trainer and evaluator.

    Changes of the config are in effect from the next use of `env` or `meta_ensemble` on. Those raise ConfigError where
    a setting was changed that is fixed once the ensemble exists, such as the agents.

    make: who makes the agents, of markets on which the session learns and on which it is judged.
    """

    def __init__(self, config: MetaLearningConfig, make: Agents) -> None:
        self.config, self.agents = config, make
        self._env = environment(config)
        self._env_source = _environment_of(config)
        self._ensemble = ensemble(config, self._env, make)

    @property
    def env(self) -> Environment:
        """The environment that the config names now; it is created anew where the config names another."""
        source = _environment_of(self.config)
        if source != self._env_source:
            env = environment(self.config)
            self._ensemble.reconfigure(msgspec.structs.replace(self._ensemble.config, costs=env.costs))
            self._env, self._env_source = env, source
        return self._env

    @property
    def environment(self) -> tuple[Any, dict[str, Any]]:
        """Class and arguments of the environment in use, by which a change is noticed."""
        return self._env_source

    @property
    def meta_ensemble(self) -> MetaLearningRiskManagedEnsemble:
        """The ensemble, which learns and trades row by row, with the present settings of the config."""
        _ = self.env
        if self._ensemble.settings is not self.config:
            self._ensemble.settings = self.config
        self._ensemble.follow_settings()
        return self._ensemble


def _environment_of(config: MetaLearningConfig) -> tuple[Any, dict[str, Any]]:
    """Class and arguments of a config's environment, copied, by which a change is noticed."""
    return config.env_class, dict(config.env_args)


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """The n rows after the warm-up of an episode, as the ensemble and K accounts came through them.

    accounts: names of the accounts; the first is the ensemble's own, the second that of equal weights.
    """

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
    action: Ints  # (n,) -1 sell, 0 hold, 1 buy
    verdicts: Ints  # (n,)
    trades: int
    stability: float  # of the regime, at the end
    turnover: Floats  # (K,) traded, units of capital
    fees: Floats  # (K,) units of capital

    def sharpe(self, k: int = 0) -> float:
        """Return the annualised Sharpe ratio of account `k`, from daily returns; NaN of under two, or equal ones."""
        return yearly_sharpe(self.daily[:, k])

    def total(self, k: int = 0) -> float:
        """Return what account `k` earned in the whole episode, in units of capital."""
        return float(self.earned[:, k].sum())

    def figures(self) -> dict[str, Any]:
        """Return the episode's figures by name; a ratio that cannot be said is NaN, which logs write as null."""
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
) -> EpisodeResult:
    """Let an ensemble trade the whole market of a seed, learning from every row.

    The ensemble keeps what it has learned before, but begins with no position and knowing nothing of this market.
    Raises ConfigError where no good row comes after the warm-up.
    """
    return traded(whole, env.episode(seed, max_steps), seed)


def traded(whole: MetaLearningRiskManagedEnsemble, episode: Episode, seed: int) -> EpisodeResult:
    """Do as `play` does, on the rows of an episode that the caller has."""
    whole.new_market()
    before = whole.fills
    played = whole.desk.play(episode.rows)
    last = whole.close() or played.round
    statement = last.outputs.statement[last.statements - 1]
    whole.rest()
    out, capital = played.round.outputs, whole.config.capital
    warm = (episode.rows.flags & WARMUP) == 0
    if not (warm & ((episode.rows.flags & REPEATED) == 0)).any():
        raise ConfigError(f"the market of seed {seed} has no row past the warm-up: give more max_steps")
    pnl = (out.equities - capital) / capital
    earned = np.diff(pnl, axis=0, prepend=np.zeros((1, pnl.shape[1])))[warm]
    path = np.vstack([np.zeros((1, pnl.shape[1])), earned.cumsum(axis=0)])
    day = ((episode.rows.ts - 1) // DAY)[warm]
    starts = np.flatnonzero(np.append(True, day[1:] != day[:-1]))
    return EpisodeResult(
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
        turnover=statement["turnover"].copy(),
        fees=statement["fees"] / capital,
    )
