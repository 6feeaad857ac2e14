"""The stable address of `load_market`; the reader is `windvane.infra.files.market_data`."""

from windvane.infra.files.market_data import MarketData, load_market

Market = MarketData
"""The name under which releases up to 0.2.0 export it."""

__all__ = ["Market", "MarketData", "load_market"]
