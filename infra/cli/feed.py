"""windvane feed: an exchange's market as it happens, as the rows of a live book on Kafka."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from windvane.infra.cli import options

if TYPE_CHECKING:
    from windvane.infra.feeds.feed import Market
    from windvane.metamodel.base.config import TradingConfig

EXAMPLES = """
Examples:\n
  windvane feed binance BTC/USDT --book btc --bars 1m --retraining off\n
  windvane feed binanceusdm BTCUSDT --book perp --bars 1s --endpoint http://127.0.0.1:8080
"""


def feed(
    exchange: Annotated[str, typer.Argument(help="binance, binanceusdm, kraken, okx, bybit, coinbase ...")],
    symbol: Annotated[str, typer.Argument(help="BTC/USDT, BTCUSDT, BTC/USDT:USDT ...")],
    book: Annotated[str, typer.Option(help="Name of the book.", show_default=False)],
    bars: Annotated[str, typer.Option(help="Bars of 1s, 1m, 15m ..., or none: a row a trade.")] = "1m",
    endpoint: Annotated[
        str | None, typer.Option(help="Scheme, host and port in place of the exchange's.")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds to run. Default: until Ctrl-C.")] = None,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    agents: options.Agents = None,
    preset: options.Preset = "balanced",
    fee_bp: Annotated[
        float | None, typer.Option(help="Fee, basis points. Default: the exchange's for takers.")
    ] = None,
    lot: Annotated[
        float | None, typer.Option(help="Step of quantities, base. Default: the exchange's.")
    ] = None,
    least_order: Annotated[
        float | None, typer.Option(help="Least order, quote currency. Default: the exchange's.")
    ] = None,
    slippage_bp: options.SlippageBp = 0.0,
    half_spread_bp: Annotated[float, typer.Option(help="Half spread where there are no quotes.")] = 0.0,
    participation: options.Participation = 0.0,
    delay: options.Delay = 1,
    capital: options.Capital = 1_000_000.0,
    seed: options.Seed = 0,
    on_halt: options.OnHalt = "next-day",
    retraining: options.Retraining = None,
) -> None:
    """Write the rows of a live book to its topic. A book that is not there yet is opened with these settings.

    One feed writes a book: a second one shuts the first out. Stopped in any way, the same command goes on behind the
    last row, and no trade is lost or doubled.
    """
    import asyncio
    import time

    from windvane.infra.feeds.opening import open_feed
    from windvane.infra.kafka.broker.settings import KafkaSettings
    from windvane.infra.live.venue import terms_of
    from windvane.infra.runs.progress import interruptible, say
    from windvane.metamodel.base.config import Costs, check, default_stale_after

    options.check_book(book)
    check(duration is None or duration > 0, f"--duration is {duration}: give seconds above 0")
    interval = options.interval_of(bars)
    settings = KafkaSettings.load(bootstrap, prefix)
    from windvane.infra.kafka.tools.feeding import (
        Feeding,
        feed_book,
    )  # needs the libraries that load() asks for

    def config(fee: float, name: str, **others: Any) -> "TradingConfig":
        costs = Costs(
            fee_bp=fee,
            slippage_bp=slippage_bp,
            half_spread_bp=half_spread_bp,
            participation=participation,
            delay=delay,
        )
        chosen = options.BookOptions(
            book=book,
            costs=costs,
            symbol=name,
            agents=agents,
            preset=preset,
            capital=capital,
            seed=seed,
            on_halt=on_halt,
            retraining=retraining,
        )
        times = {"interval": interval, "stale_after": default_stale_after(interval)}
        return options.config_for(chosen, closing="timed", **times, **others)[0]

    def configure(market: "Market", price: float) -> "TradingConfig":
        terms = terms_of(market, price, fee_bp, lot, least_order)
        say(terms.told(market))
        return config(terms.fee_bp, market.symbol, lot=terms.lot, min_order=terms.min_order(capital))

    config(fee_bp or 0.0, symbol)  # so that what cannot be is refused before anybody is asked
    source = open_feed(exchange, symbol, endpoint)
    with interruptible() as asked:
        end = None if duration is None else time.monotonic() + duration
        feeding = Feeding(book, interval, configure)
        rows = asyncio.run(
            feed_book(
                settings, feeding, source, lambda: asked() or (end is not None and time.monotonic() >= end)
            )
        )
    say(f"{rows:,} rows of {book} are on {settings.topic('ticks')}: the same command goes on behind them")


feed.__doc__ = f"{feed.__doc__}\n\n{EXAMPLES}"
