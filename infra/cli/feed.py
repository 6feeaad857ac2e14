"""windvane feed: an exchange's market as it happens, as the rows of a live book on Kafka."""

from typing import Annotated

import typer

from windvane.infra.cli import live_book, options

EXAMPLES = """
Examples:\n
  windvane feed binance BTC/USDT --book btc --bars 1m --retraining off\n
  windvane feed binanceusdm BTCUSDT --book perp --bars 1s --endpoint http://127.0.0.1:8080
"""


def feed(
    exchange: live_book.Exchange,
    symbol: live_book.Symbol,
    book: Annotated[str, typer.Option(help="Name of the book.", show_default=False)],
    bars: live_book.Bars = "1m",
    endpoint: live_book.Endpoint = None,
    duration: live_book.Duration = None,
    bootstrap: options.Bootstrap = None,
    prefix: options.Prefix = None,
    agents: options.Agents = None,
    shadow: options.Shadow = None,
    seats: options.Seats = None,
    keyed: options.Keyed = False,
    preset: options.Preset = "balanced",
    fee_bp: live_book.FeeBp = None,
    lot: live_book.Lot = None,
    least_order: live_book.LeastOrder = None,
    long_only: live_book.LongOnly = False,
    slippage_bp: options.SlippageBp = 0.0,
    half_spread_bp: live_book.HalfSpreadBp = 0.0,
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
    from windvane.infra.report.agents import strangers_here
    from windvane.infra.runs.progress import interruptible, say
    from windvane.metamodel.base.config import check

    options.check_book(book)
    check(duration is None or duration > 0, f"--duration is {duration}: give seconds above 0")
    interval = options.interval_of(bars)
    settings = KafkaSettings.load(bootstrap, prefix)
    from windvane.infra.kafka.tools.feeding import (
        Feeding,
        feed_book,
    )  # needs the libraries that load() asks for

    chosen = live_book.LiveBook(
        book=book,
        interval=interval,
        agents=agents,
        shadow=tuple(shadow or ()),
        seats=seats,
        keyed=keyed,
        preset=preset,
        fee_bp=fee_bp,
        lot=lot,
        least_order=least_order,
        slippage_bp=slippage_bp,
        half_spread_bp=half_spread_bp,
        participation=participation,
        delay=delay,
        capital=capital,
        seed=seed,
        on_halt=on_halt,
        retraining=retraining,
        long_only=long_only,
    )
    draft = chosen.draft(symbol).config  # so that what cannot be is refused before anybody is asked
    source = open_feed(exchange, symbol, endpoint)
    for sentence in strangers_here(draft, "real"):
        say(sentence)
    with interruptible() as asked:
        end = None if duration is None else time.monotonic() + duration
        feeding = Feeding(book, interval, lambda market, price: chosen.configure(market, price, say))
        rows = asyncio.run(
            feed_book(
                settings, feeding, source, lambda: asked() or (end is not None and time.monotonic() >= end)
            )
        )
    say(f"{rows:,} rows of {book} are on {settings.topic('ticks')}: the same command goes on behind them")


feed.__doc__ = f"{feed.__doc__}\n\n{EXAMPLES}"
