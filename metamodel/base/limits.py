"""RiskLimits: the numbers that no order may exceed; `windvane.metamodel.trading.risk` applies them to orders."""

import math

import msgspec

from windvane.agents.errors import WindvaneError


class LimitError(WindvaneError):
    """A limit is invalid; the message is one sentence that names it and says what would be valid."""


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one account, in the order in which they are checked for every row; None switches one off.

    Raises LimitError for a value out of range.
    """

    max_spread_bp: float | None = None  # ask - bid over mid above which nothing is increased
    price_collar: float | None = None  # |ln(mid / last good mid)| above which no order is sent
    max_position: float = 1.0  # |position|, units of capital
    max_notional: float | None = None  # |position|, currency
    max_order_qty: float | None = None  # |qty| of one order, base currency
    max_orders: int | None = None  # orders in the trailing `orders_interval`
    orders_interval: int = 60_000_000_000  # ns
    max_turnover: float | None = None  # sum of |qty x price| a UTC day, units of capital
    daily_loss: float | None = None  # loss since the UTC day began, units of capital: halts
    max_drawdown: float | None = None  # fall from the highest equity, units of capital: halts
    var_95: float | None = None  # one-day 95 % value at risk, units of capital
    volatility_target: float | None = None  # a year, of the account
    kelly_fraction: float | None = None  # of the Kelly bet on the wanted position
    confidence_scaling: bool = False  # scales the target by the weighted confidence of the agents
    flatten_on_halt: bool = True  # a limit that halts also orders the position closed

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
