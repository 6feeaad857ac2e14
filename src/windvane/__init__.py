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
    "ConfigError": "metamodel.config",
    "Costs": "metamodel.config",
    "EmbeddedRunner": "streams.embedded",
    "FeatureScaler": "metamodel.scaler",
    "MarketFeatureExtractor": "metamodel.features",
    "MarketRegimeClassifier": "metamodel.regime",
    "MetaLearningConfig": "metamodel.meta_config",
    "MetaLearningConfigManager": "infra.configuration",
    "MetaLearningEnsembleManager": "metamodel.ensemble",
    "MetaLearningEnsembleTrainer": "infra.sessions.trainer",
    "MetaLearningEvaluator": "infra.sessions.evaluator",
    "MetaLearningRiskManagedEnsemble": "metamodel.ensemble",
    "MetaLearningTracker": "metamodel.tracker",
    "OrderSubscriber": "infra.kafka.subscriber",
    "Proposal": "agents.base",
    "RiskLimits": "metamodel.limits",
    "TradeSimulator": "metamodel.trade_simulator",
    "TradingConfig": "metamodel.config",
    "WeighingConfig": "metamodel.config",
    "create_agent_wrappers_from_config": "agents.wrapper",
    "create_agents": "agents.factory",
    "create_meta_learning_config": "infra.configuration",
    "monitor_resources": "infra.monitoring.resources",
    "load_meta_models": "infra.kafka.swapping",
    "run_comprehensive_tests": "testing",
    "run_integration_tests": "testing",
    "send_alert": "infra.monitoring.alerting",
    "simulate": "metamodel.market",
}

__all__ = sorted((*_HOMES, "__version__"))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"windvane has no {name!r}: it has {', '.join(sorted(_HOMES))}")
    return getattr(import_module(f"windvane.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
