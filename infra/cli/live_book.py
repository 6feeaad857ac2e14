"""What `windvane live` and `windvane feed` share: the options of a book on a live market, and its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from windvane.infra.cli import options

if TYPE_CHECKING:
    from windvane.infra.feeds.feed import Market
    from windvane.metamodel.base.config import TradingConfig

Exchange = Annotated[str, typer.Argument(help="binance, binanceusdm, kraken, okx, bybit, coinbase ...")]
Symbol = Annotated[str, typer.Argument(help="BTC/USDT, BTCUSDT, BTC/USDT:USDT ...")]
Bars = Annotated[str, typer.Option(help="Bars of 1s, 1m, 15m ..., or none: a row a trade.")]
Endpoint = Annotated[str | None, typer.Option(help="Scheme, host and port in place of the exchange's.")]
Duration = Annotated[float | None, typer.Option(help="Seconds to run. Default: until Ctrl-C.")]
FeeBp = Annotated[float | None, typer.Option(help="Fee, basis points. Default: the exchange's for takers.")]
Lot = Annotated[float | None, typer.Option(help="Step of quantities, base. Default: the exchange's.")]
LeastOrder = Annotated[
    float | None, typer.Option(help="Least order, quote currency. Default: the exchange's.")
]
HalfSpreadBp = Annotated[float, typer.Option(help="Half spread where there are no quotes.")]
LongOnly = Annotated[
    bool, typer.Option("--long-only", help="No position below 0. A spot market's book never has one.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBook:
    """The options of a book on a live market; None: what the exchange says, or the preset."""

    book: str
    interval: int  # ns of a bar, 0: a row a trade
    agents: str | None
    shadow: tuple[str, ...]
    preset: str
    fee_bp: float | None
    lot: float | None
    least_order: float | None
    slippage_bp: float
    half_spread_bp: float
    participation: float
    delay: int
    capital: float
    seed: int
    on_halt: str
    retraining: str | None
    long_only: bool

    def draft(self, symbol: str) -> options.Chosen:
        """What is asked for before the exchange is asked; raises ConfigError for what cannot be."""
        return self._config(symbol, self.fee_bp or 0.0, self.long_only)

    def configure(self, market: "Market", price: float, say: Callable[[str], None]) -> "TradingConfig":
        """The settings on a market at a price, quote currency; `say` is told its terms. Nobody shorts a spot market."""
        from windvane.infra.live.venue import terms_of

        terms = terms_of(market, price, self.fee_bp, self.lot, self.least_order)
        long_only = self.long_only or not market.perpetual
        say(f"{terms.told(market)}{', long only' if long_only else ''}")
        return self._config(
            market.symbol, terms.fee_bp, long_only, lot=terms.lot, min_order=terms.min_order(self.capital)
        ).config

    def _config(self, symbol: str, fee_bp: float, long_only: bool, **others: Any) -> options.Chosen:
        from windvane.metamodel.base.config import Costs, default_stale_after

        costs = Costs(
            fee_bp=fee_bp,
            slippage_bp=self.slippage_bp,
            half_spread_bp=self.half_spread_bp,
            participation=self.participation,
            delay=self.delay,
        )
        chosen = options.BookOptions(
            book=self.book,
            costs=costs,
            symbol=symbol,
            agents=self.agents,
            shadow=self.shadow,
            preset=self.preset,
            capital=self.capital,
            seed=self.seed,
            on_halt=self.on_halt,
            retraining=self.retraining,
            long_only=long_only,
        )
        times = {"interval": self.interval, "stale_after": default_stale_after(self.interval)}
        return options.config_for(chosen, closing="timed", **times, **others)
