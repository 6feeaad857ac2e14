"""Windvane: an event-driven pipeline that decides, tick by tick, which trading agent to believe.

The public names are imported when they are first used, so that `import windvane` stays fast.
"""

from importlib import import_module
from typing import Any

from windvane.agents import program

__version__ = program.VERSION

_HOMES = {
    "AGENTS": "agents.factory",
    "Agent": "agents.base",
    "AgentWrapperFactory": "agents.wrapper",
    "BaseAgentWrapper": "agents.wrapper",
    "ConfigError": "metamodel.base.config",
    "Costs": "metamodel.base.config",
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
    "Proposal": "agents.base",
    "RiskLimits": "metamodel.base.limits",
    "TradeSimulator": "metamodel.simulation.trade_simulator",
    "TradingConfig": "metamodel.base.config",
    "WeighingConfig": "metamodel.base.config",
    "create_agent_wrappers_from_config": "agents.wrapper",
    "create_agents": "agents.factory",
    "create_meta_learning_config": "infra.runs.configuration",
    "monitor_resources": "infra.training_sessions.resources",
    "load_meta_models": "infra.kafka.tools.swapping",
    "run_comprehensive_tests": "testing",
    "run_integration_tests": "testing",
    "send_alert": "infra.training_sessions.alerting",
    "simulate": "metamodel.simulation.market",
}

__all__ = sorted((*_HOMES, "__version__"))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"windvane has no {name!r}: it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(f"windvane.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
