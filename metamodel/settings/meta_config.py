"""MetaLearningConfig: every setting of the meta-learner under one name each, checked when it is assigned.

It is where people set things; what a pipeline is built from are the frozen settings that it converts to. A book on a
log keeps those that it was opened with. Ensembles, trainers and evaluators that were made from a MetaLearningConfig
take up what is changed in it, or refuse it.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import msgspec

from windvane.agents.base import Agent
from windvane.agents.factory import AGENTS
from windvane.agents.learned.settings import LearnedError, check_hidden
from windvane.agents.roster import Roster, recorded_words, roster
from windvane.metamodel.base.config import ConfigError, TradingConfig, WeighingConfig
from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.parameters import Parameter, checked, parameter, unknown
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.features.selection import MOST
from windvane.metamodel.settings.risk_settings import RiskSettings
from windvane.metamodel.simulation.episodes import SimulatedEpisodes
from windvane.metamodel.simulation.seeds import CHOOSING

_W = WeighingConfig()

NetDims = tuple[int, ...] | None
"""Units of hidden layers; None where nothing is trained that has some."""


@dataclass(init=False)
class MetaLearningConfig(RiskSettings):
    """All settings of the meta-learner; unknown names and values out of range raise ConfigError, in one sentence.

    Also `agent_class`, `env_class` and `env_args`: a class of agents that takes part, too, and the environment that a
    trainer makes with these arguments.
    """

    meta_learning_enabled: bool = parameter(
        True, "whether agents are weighed by what was learned; else equally"
    )
    agents: tuple[str, ...] = parameter(
        tuple(AGENTS),
        "who is weighed: names, or NAME=module:Class and the like as `--agents` takes them",
        kind=tuple[str, ...],
        choices=tuple(AGENTS),
    )
    net_dims: tuple[int, ...] | None = parameter(
        None,
        "hidden layers of the dqn, ppo and rainbow that a session trains from nothing; off: those that ship",
        kind=tuple[int, ...],
        unit="units of each layer",
        optional=True,
    )

    max_agent_weight: float = parameter(_W.max_agent_weight, "cap of one agent's weight", above=0, high=1)
    min_diversification_agents: int = parameter(
        _W.min_diversification_agents, "so many agents have 5 % or more", low=0, high=20
    )
    weight_temperature: float = parameter(
        _W.weight_temperature,
        "aversion to variance; 0.5 expects the best Sharpe ratio, lower is bolder",
        above=0,
        high=100,
    )
    no_trade_band: float = parameter(
        _W.no_trade_band,
        "how far the agents' weighted sum may be from the target before that moves, to the edge",
        low=0,
        high=1,
        unit="standard deviations of the agents' targets",
    )
    share_rate: float = parameter(
        _W.share_rate, "chance that the best way to weigh changes", above=0, high=0.5, unit="a tick"
    )
    learning_rate: float = parameter(
        _W.learning_rate, "how fast trust moves between the ways to weigh", above=0, high=1
    )

    cash_expert: bool = parameter(
        _W.cash_expert, "whether cash competes with all ways to weigh; what it wins is not invested"
    )

    performance_prediction_enabled: bool = parameter(
        True, "whether a predictor of the agents' scores is retrained and believed"
    )
    meta_training_frequency: int = parameter(
        _W.meta_training_frequency,
        "between two versions of the predictor; a session trains one after an episode, if so many are new",
        low=1,
        unit="samples of 32 ticks",
    )
    meta_lookback: int = parameter(
        _W.meta_lookback,
        "newest samples that are kept, and trained on; a session gathers them over its episodes",
        low=8,
        high=20_000,
        unit="samples of 32 ticks",
    )
    meta_batch_size: int = parameter(_W.meta_batch_size, "samples a step of training", low=1, high=4096)
    meta_epochs: int = parameter(_W.meta_epochs, "so many times a sample is trained on", low=1, high=1000)
    learner_lag: int = parameter(_W.learner_lag, "from training to effect", low=1, unit="ticks")
    agent_history_features: int = parameter(
        _W.agent_history_features,
        "how long the predictor remembers an agent's scores, and how many its record tells",
        low=1,
        high=1000,
        unit="means of 32 ticks",
    )

    regime_features_dim: int = parameter(
        _W.features,
        "features that contextual weights and predictor read; above 50 slow averages join",
        low=1,
        high=MOST,
    )
    regime_history_window: int = parameter(
        100, "what the stability of a regime is measured on", low=1, high=100_000, unit="ticks"
    )
    regime_stability_threshold: float = parameter(
        0.7, "stability below which a regime counts as unstable, and is told so", low=0, high=1
    )
    market_regimes: list[str] = parameter(  # noqa: RUF009 (a field with a factory)
        list(REGIMES), "the regimes told apart: these seven, no others", kind=list[str], choices=REGIMES
    )

    decision_history_size: int = parameter(
        1000, "newest decisions that are remembered", low=1, high=10_000_000
    )
    detailed_logging: bool = parameter(
        False, "features and proposals in journals, every decision in a session's log"
    )
    meta_learning_debug: bool = parameter(
        False, "what every way to weigh thinks, in decisions and regime information"
    )
    real_time_monitoring: bool = parameter(False, "memory and load after every episode, and alerts")
    feature_analysis: bool = parameter(False, "which features went with which agent's scores, in evaluations")

    break_step: int = parameter(10_000_000, "after which a training session ends", low=1, unit="ticks")
    save_interval: int = parameter(20, "between two checkpoints of a session", low=1, unit="episodes")
    evaluation_interval: int = parameter(10, "between two evaluations in a session", low=1, unit="episodes")
    evaluation_markets: int = parameter(
        24, "simulated markets that each evaluation in a session is on", low=2, high=len(CHOOSING)
    )

    agent_class: Any = None
    env_class: Any = SimulatedEpisodes
    env_args: dict[str, Any] = field(default_factory=lambda: dict(SimulatedEpisodes.DEFAULTS))
    preset: str = "balanced"

    def __init__(self, **values: Any) -> None:
        for f in fields(self):
            default = f.default if f.default_factory is MISSING else f.default_factory()
            object.__setattr__(self, f.name, default)
        self.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in PARAMETERS:
            value = _whole(name, checked(name, PARAMETERS[name], value))
        elif name == "agent_class":
            self._join(value)
        elif name == "env_args":
            value = _arguments(value)
        elif name == "env_class":
            if value is not None and not callable(value):
                raise ConfigError(f"env_class is {value!r}: give a class such as windvane.TradeSimulator")
        elif name != "preset":
            raise unknown("parameter", name, (*PARAMETERS, *_OBJECTS))
        object.__setattr__(self, name, value)

    def _join(self, kind: Any) -> None:
        """A class of agents takes part: it is added to `agents` where it is not among them."""
        if kind is None:
            return
        if not (isinstance(kind, type) and issubclass(kind, Agent)):
            raise ConfigError(f"agent_class is {kind!r}: give None, or a class derived from windvane.Agent")
        built_in = AGENTS.get(kind.name) is kind
        word = kind.name if built_in else f"{kind.name}={kind.__module__}:{kind.__qualname__}"
        if word not in self.agents:
            self.agents = (*self.agents, word)

    def update(self, values: Mapping[str, Any]) -> None:
        """Assign several parameters; raises ConfigError at the first that does not fit, and then changes none."""
        trial = object.__new__(MetaLearningConfig)
        trial.__dict__.update(self.__dict__)
        for name, value in values.items():
            setattr(trial, name, value)
        self.__dict__.update(trial.__dict__)

    def values(self) -> dict[str, Any]:
        """Return the value of every parameter, by name."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def recorded(self) -> dict[str, Any]:
        """Return `values` as files hold them: of an agent whose code is named, its kind."""
        whole = self.roster()
        return self.values() | {"agents": recorded_words(whole.ids, whole.kinds)}

    def roster(self) -> Roster:
        """Who is weighed, and what makes them here; raises WindvaneError where an agent cannot be made any more."""
        return roster(self.agents)

    def weighing(self) -> WeighingConfig:
        """Return the frozen settings of how agents are weighed."""
        weighing = WeighingConfig(
            retraining=self.meta_learning_enabled and self.performance_prediction_enabled,
            features=self.regime_features_dim,
            **{name: getattr(self, name) for name in _WEIGHING},
        )
        if self.meta_learning_enabled:
            return weighing
        return WeighingConfig(
            max_agent_weight=1.0, min_diversification_agents=0, no_trade_band=0.0, prior=_only_equal()
        )

    @classmethod
    def of(cls, config: TradingConfig) -> "MetaLearningConfig":
        """The settings of a book under these names; what has no name here, such as another prior, is left out."""
        weighing, limits = config.weighing, config.limits
        values = {name: getattr(weighing, name) for name in _WEIGHING}
        values |= {name: getattr(limits, name) for name in RiskLimits.__struct_fields__}
        values |= {
            "agents": recorded_words(config.agents, config.kinds_of_agents),
            "meta_learning_enabled": _learned(weighing),
            "performance_prediction_enabled": weighing.retraining,
            "regime_features_dim": weighing.features,
            "kelly_criterion_enabled": limits.kelly_fraction is not None,
            "kelly_fraction": limits.kelly_fraction or cls().kelly_fraction,
        }
        settings = cls()
        settings.__dict__.update(values)  # unchecked: a book may hold what nobody would set here
        return settings

    def within(self, config: TradingConfig, net_dims: NetDims = None) -> TradingConfig:
        """Return a book's settings with the values of this config; settings that have no name here stay as they are.

        Raises ConfigError where `net_dims` is not what it was for whoever takes up these settings.
        """
        if self.net_dims != net_dims:
            raise ConfigError(
                f"net_dims was changed from {net_dims} to {self.net_dims} after this was made for it: set it back, or "
                "make another"
            )
        weighing = self.weighing()
        if self.meta_learning_enabled and _learned(config.weighing):
            weighing = msgspec.structs.replace(weighing, prior=config.weighing.prior)
        same = self.agents == recorded_words(config.agents, config.kinds_of_agents)
        agents = {} if same else self.roster().recorded()
        return msgspec.structs.replace(config, weighing=weighing, limits=self.limits(), **agents)

    def trading(self, **others: Any) -> TradingConfig:
        """Return the frozen settings of a whole pipeline.

        others: fields of TradingConfig that are no concern of the meta-learner, such as costs. Raises ConfigError where
        `net_dims` is set: only a session trains agents.
        """
        if self.net_dims is not None:
            raise ConfigError(
                f"net_dims is {self.net_dims}, and only a MetaLearningEnsembleTrainer trains agents: set net_dims to "
                "None, and name the policies that one has trained among the agents, as dqn=FOLDER"
            )
        values: dict[str, Any] = {
            **self.roster().recorded(),
            "weighing": self.weighing(),
            "limits": self.limits(),
        }
        return TradingConfig(**(values | others))


PARAMETERS: dict[str, Parameter] = {
    f.name: f.metadata["parameter"] for f in fields(MetaLearningConfig) if "parameter" in f.metadata
}
"""Every parameter by name, in the order of the class."""

_OBJECTS = ("agent_class", "env_class", "env_args")
_WEIGHING = tuple(name for name in WeighingConfig.__struct_fields__ if name in PARAMETERS)


def _learned(weighing: WeighingConfig) -> bool:
    """Whether anything but equal weights is believed."""
    return weighing.prior[0] < sum(weighing.prior)


def _only_equal() -> tuple[float, ...]:
    """The prior that believes in equal weights alone."""
    return (1.0, *(0.0 for _ in _W.prior[1:]))


def _whole(name: str, value: Any) -> Any:
    """A value checked by what a type and a range cannot say; raises ConfigError."""
    if name == "agents":
        try:
            roster(value)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        if not value:
            raise ConfigError(f"agents is empty: give some of {', '.join(AGENTS)}")
    if name == "net_dims" and value is not None:
        try:
            check_hidden(value)
        except LearnedError as error:
            raise ConfigError(f"net_dims: {error}") from error
    if name == "market_regimes" and sorted(value) != sorted(REGIMES):
        raise ConfigError(
            f"market_regimes is {value!r}: the classifier was trained on {', '.join(REGIMES)}; give these seven"
        )
    return value


def _arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"env_args is {value!r}: give a dictionary of the environment's arguments")
    return dict(value)
