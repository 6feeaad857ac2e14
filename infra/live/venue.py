"""Terms: what an exchange says of a symbol as settings of a book, and what of it a person says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from windvane.infra.feeds.feed import Market
from windvane.metamodel.base.config import ConfigError

LEAST_SHARE = 1e-3
"""Of capital: smaller orders are not worth their cost, whatever the exchange takes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """fee_bp: of a taker, basis points. lot: base currency. least: of an order, quote currency."""

    fee_bp: float
    lot: float
    least: float

    def min_order(self, capital: float) -> float:
        """The least order as a share of capital; raises ConfigError where capital is too little for one."""
        share = max(LEAST_SHARE, self.least / capital)
        if share >= 1:
            raise ConfigError(
                f"--capital is {capital:g}, less than the least order of {self.least:g}: give more"
            )
        return share

    def told(self, market: Market) -> str:
        """One line for a person, before a book is opened with them."""
        return (
            f"{market.exchange} {market.symbol}, on paper: fee {self.fee_bp:g} bp, lot {self.lot:g} {market.base}, "
            f"least order {self.least:g} {market.quote}"
        )


def terms_of(
    market: Market, price: float, fee_bp: float | None, lot: float | None, least: float | None
) -> Terms:
    """The exchange's terms at a price (quote currency), each replaced where it is given."""
    return Terms(
        market.taker_bp if fee_bp is None else fee_bp,
        market.lot if lot is None else lot,
        max(market.least_notional, market.least_qty * price) if least is None else least,
    )
