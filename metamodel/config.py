"""The stable address of what configures a book; the classes themselves are in `windvane.metamodel.base.config`."""

from windvane.metamodel.base.config import ConfigError, Costs, TradingConfig, WeighingConfig, digest

__all__ = ["ConfigError", "Costs", "TradingConfig", "WeighingConfig", "digest"]
