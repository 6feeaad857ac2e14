"""Windvane: an event-driven pipeline that decides at every tick how much weight each trading agent gets.

A public name is imported when it is first used, so that `import windvane` stays fast. Type checkers and editors read
the ordinary imports below instead; tests/project/test_public_names.py compares the two lists.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from windvane.agents import program
from windvane.gymnasium_names import register_environments
from windvane.policy_folders import register_folders

if TYPE_CHECKING:
    from windvane.agents.base import Agent as Agent
    from windvane.agents.base import Proposal as Proposal
    from windvane.agents.factory import AGENTS as AGENTS
    from windvane.agents.factory import create_agents as create_agents
    from windvane.agents.learned.wrappers import DQNAgentWrapper as DQNAgentWrapper
    from windvane.agents.learned.wrappers import PPOAgentWrapper as PPOAgentWrapper
    from windvane.agents.learned.wrappers import RainbowAgentWrapper as RainbowAgentWrapper
    from windvane.agents.wrapper import AgentEnsembleWrapper as AgentEnsembleWrapper
    from windvane.agents.wrapper import BaseAgentWrapper as BaseAgentWrapper
    from windvane.agents.wrapping import AgentWrapperFactory as AgentWrapperFactory
    from windvane.agents.wrapping import (
        create_agent_wrappers_from_config as create_agent_wrappers_from_config,
    )
    from windvane.infra.kafka.tools.subscriber import OrderSubscriber as OrderSubscriber
    from windvane.infra.kafka.tools.swapping import load_meta_models as load_meta_models
    from windvane.infra.runs.configuration import MetaLearningConfigManager as MetaLearningConfigManager
    from windvane.infra.runs.configuration import create_meta_learning_config as create_meta_learning_config
    from windvane.infra.training_sessions.alerting import send_alert as send_alert
    from windvane.infra.training_sessions.evaluator import MetaLearningEvaluator as MetaLearningEvaluator
    from windvane.infra.training_sessions.resources import monitor_resources as monitor_resources
    from windvane.infra.training_sessions.trainer import (
        MetaLearningEnsembleTrainer as MetaLearningEnsembleTrainer,
    )
    from windvane.metamodel.base.config import ConfigError as ConfigError
    from windvane.metamodel.base.config import Costs as Costs
    from windvane.metamodel.base.config import TradingConfig as TradingConfig
    from windvane.metamodel.base.config import WeighingConfig as WeighingConfig
    from windvane.metamodel.base.limits import RiskLimits as RiskLimits
    from windvane.metamodel.features.extractor import MarketFeatureExtractor as MarketFeatureExtractor
    from windvane.metamodel.features.scaler import FeatureScaler as FeatureScaler
    from windvane.metamodel.learning.manager import MetaLearningEnsembleManager as MetaLearningEnsembleManager
    from windvane.metamodel.learning.performance import (
        AlgorithmPerformancePredictor as AlgorithmPerformancePredictor,
    )
    from windvane.metamodel.regimes.classifier import MarketRegimeClassifier as MarketRegimeClassifier
    from windvane.metamodel.settings.meta_config import MetaLearningConfig as MetaLearningConfig
    from windvane.metamodel.simulation.market import simulate as simulate
    from windvane.metamodel.simulation.trade_simulator import TradeSimulator as TradeSimulator
    from windvane.metamodel.simulation.trade_simulators import TradeSimulators as TradeSimulators
    from windvane.metamodel.trader.tracker import MetaLearningTracker as MetaLearningTracker
    from windvane.metamodel.trader.trader import (
        MetaLearningRiskManagedEnsemble as MetaLearningRiskManagedEnsemble,
    )
    from windvane.streams.embedded import EmbeddedRunner as EmbeddedRunner
    from windvane.testing import run_comprehensive_tests as run_comprehensive_tests
    from windvane.testing import run_integration_tests as run_integration_tests

__version__ = program.VERSION

_HOMES = {
    "AGENTS": "agents.factory",
    "Agent": "agents.base",
    "AgentEnsembleWrapper": "agents.wrapper",
    "AgentWrapperFactory": "agents.wrapping",
    "AlgorithmPerformancePredictor": "metamodel.learning.performance",
    "BaseAgentWrapper": "agents.wrapper",
    "ConfigError": "metamodel.base.config",
    "Costs": "metamodel.base.config",
    "DQNAgentWrapper": "agents.learned.wrappers",
    "EmbeddedRunner": "streams.embedded",
    "FeatureScaler": "metamodel.features.scaler",
    "MarketFeatureExtractor": "metamodel.features.extractor",
    "MarketRegimeClassifier": "metamodel.regimes.classifier",
    "MetaLearningConfig": "metamodel.settings.meta_config",
    "MetaLearningConfigManager": "infra.runs.configuration",
    "MetaLearningEnsembleManager": "metamodel.learning.manager",
    "MetaLearningEnsembleTrainer": "infra.training_sessions.trainer",
    "MetaLearningEvaluator": "infra.training_sessions.evaluator",
    "MetaLearningRiskManagedEnsemble": "metamodel.trader.trader",
    "MetaLearningTracker": "metamodel.trader.tracker",
    "OrderSubscriber": "infra.kafka.tools.subscriber",
    "PPOAgentWrapper": "agents.learned.wrappers",
    "Proposal": "agents.base",
    "RainbowAgentWrapper": "agents.learned.wrappers",
    "RiskLimits": "metamodel.base.limits",
    "TradeSimulator": "metamodel.simulation.trade_simulator",
    "TradeSimulators": "metamodel.simulation.trade_simulators",
    "TradingConfig": "metamodel.base.config",
    "WeighingConfig": "metamodel.base.config",
    "create_agent_wrappers_from_config": "agents.wrapping",
    "create_agents": "agents.factory",
    "create_meta_learning_config": "infra.runs.configuration",
    "monitor_resources": "infra.training_sessions.resources",
    "load_meta_models": "infra.kafka.tools.swapping",
    "run_comprehensive_tests": "testing",
    "run_integration_tests": "testing",
    "send_alert": "infra.training_sessions.alerting",
    "simulate": "metamodel.simulation.market",
}
"""The module, below windvane, that each public name is imported from."""

__all__ = sorted((*_HOMES, "__version__"))

if not TYPE_CHECKING:  # a type checker that saw this function would take every misspelt name for Any

    def __getattr__(name: str) -> Any:
        """Import a public name on its first use; raises AttributeError for any other name."""
        if name not in _HOMES:
            raise AttributeError(f"windvane has no {name!r}: it has {', '.join(sorted(_HOMES))}")
        return getattr(import_module(f"windvane.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__


register_environments()
register_folders()
