"""The stable address of `load_market`; the reader itself is `windvane.infra.files.market_data`."""

from windvane.infra.files.market_data import Market, load_market

__all__ = ["Market", "load_market"]
