"""The part of MetaLearningConfig that sets risk limits."""

from dataclasses import dataclass
from typing import Any

from windvane.metamodel.base.limits import RiskLimits
from windvane.metamodel.base.parameters import parameter

_L = RiskLimits()

_SHARE = "share of capital"


def _limit(name: str, what: str, **more: Any) -> Any:
    return parameter(getattr(_L, name), what, kind=float, above=0, optional=True, **more)


@dataclass(init=False)
class RiskSettings:
    """Risk limits under the names that people set; `limits` converts them."""

    kelly_criterion_enabled: bool = parameter(
        False, "whether a position is at most a share of the Kelly bet on it"
    )
    kelly_fraction: float = parameter(0.5, "that share", above=0, high=1)
    max_position: float = parameter(
        _L.max_position, "largest position", above=0, high=100, unit="times capital"
    )
    max_notional: float | None = _limit("max_notional", "largest position", unit="currency")
    max_order_qty: float | None = _limit("max_order_qty", "largest order", unit="base currency")
    max_orders: int | None = parameter(
        _L.max_orders, "most orders in `orders_interval`", kind=int, low=1, high=100_000, optional=True
    )
    orders_interval: int = parameter(_L.orders_interval, "what `max_orders` counts in", low=1, unit="ns")
    max_turnover: float | None = _limit("max_turnover", "most traded in a UTC day", unit="times capital")
    max_spread_bp: float | None = _limit(
        "max_spread_bp", "spread above which nothing is increased", unit="bp of the mid"
    )
    price_collar: float | None = _limit("price_collar", "move above which no order is sent", unit="log")
    daily_loss: float | None = _limit("daily_loss", "loss of a UTC day that halts", unit=_SHARE)
    max_drawdown: float | None = _limit(
        "max_drawdown", "fall from the highest equity that halts", unit=_SHARE
    )
    var_95: float | None = _limit("var_95", "value at risk, 95 %, one day", unit=_SHARE)
    volatility_target: float | None = _limit(
        "volatility_target", "volatility of the account that positions are scaled to", unit="a year"
    )
    confidence_scaling: bool = parameter(
        _L.confidence_scaling,
        "whether targets are scaled by max(0, 2p - 1) over its mean, p the confidence in them",
    )
    flatten_on_halt: bool = parameter(
        _L.flatten_on_halt, "whether a limit that halts also closes the position"
    )
    long_only: bool = parameter(_L.long_only, "whether nothing is sold that is not held, as on spot markets")

    def limits(self) -> RiskLimits:
        """Return the limits in the form that the risk gates read."""
        values = {name: getattr(self, name) for name in RiskLimits.__struct_fields__}
        return RiskLimits(
            **(values | {"kelly_fraction": self.kelly_fraction if self.kelly_criterion_enabled else None})
        )
