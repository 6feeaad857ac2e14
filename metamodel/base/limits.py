"""RiskLimits: the numbers that no order may exceed; `windvane.metamodel.trading.risk` applies them to orders."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta

from windvane.agents.errors import WindvaneError


class LimitError(WindvaneError):
    """A limit is invalid; the message is one sentence that names it and says what would be valid."""


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one account, in the order in which they are checked for every row; None switches one off.

    Raises LimitError for a value out of range.
    """

    max_spread_bp: Annotated[
        float | None, Meta(description="ask - bid over mid above which nothing is increased")
    ] = None
    price_collar: Annotated[
        float | None, Meta(description="|ln(mid / last good mid)| above which no order is sent")
    ] = None
    max_position: Annotated[float, Meta(description="|position|, units of capital")] = 1.0
    max_notional: Annotated[float | None, Meta(description="|position|, currency")] = None
    max_order_qty: Annotated[float | None, Meta(description="|qty| of one order, base currency")] = None
    max_orders: Annotated[int | None, Meta(description="orders in the trailing `orders_interval`")] = None
    orders_interval: Annotated[int, Meta(description="ns")] = 60_000_000_000
    max_turnover: Annotated[
        float | None, Meta(description="sum of |qty x price| a UTC day, units of capital")
    ] = None
    daily_loss: Annotated[
        float | None, Meta(description="loss since the UTC day began, units of capital: halts")
    ] = None
    max_drawdown: Annotated[
        float | None, Meta(description="fall from the highest equity, units of capital: halts")
    ] = None
    var_95: Annotated[float | None, Meta(description="one-day 95 % value at risk, units of capital")] = None
    volatility_target: Annotated[float | None, Meta(description="a year, of the account")] = None
    kelly_fraction: Annotated[float | None, Meta(description="of the Kelly bet on the wanted position")] = (
        None
    )
    confidence_scaling: Annotated[
        bool, Meta(description="scales the target by max(0, 2p - 1) over its mean, p the confidence in it")
    ] = False
    flatten_on_halt: Annotated[
        bool, Meta(description="a limit that halts also orders the position closed")
    ] = True
    long_only: Annotated[bool, Meta(description="the position is never below 0")] = False

    def __post_init__(self) -> None:
        for name in (
            "max_spread_bp",
            "price_collar",
            "max_position",
            "max_notional",
            "max_order_qty",
            "max_orders",
            "max_turnover",
            "daily_loss",
            "max_drawdown",
            "var_95",
            "volatility_target",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise LimitError(
                    f"{name} is {value}: give a number above 0, or leave it out to switch it off"
                )
        if self.max_orders is not None and (
            self.max_orders != int(self.max_orders) or self.max_orders > 100_000
        ):
            raise LimitError(f"max_orders is {self.max_orders}: give a whole number from 1 to 100000")
        if self.max_position > 100:
            raise LimitError(f"max_position is {self.max_position}: give at most 100 times capital")
        if self.kelly_fraction is not None and not 0 < self.kelly_fraction <= 1:
            raise LimitError(f"kelly_fraction is {self.kelly_fraction}: give a share above 0, up to 1")
        if self.orders_interval <= 0:
            raise LimitError(f"orders_interval is {self.orders_interval}: give ns above 0")
